import { readFileSync } from "node:fs";

import { tensor, type Device } from "@danu/tensor";

import type { LossName, LossParameters, LossTerm, PreferencePairs } from "../src/index.ts";

/** Log-probabilities of the tokens of one pair's completions, in units. */
export interface GoldenPair {
  readonly chosen: readonly number[];
  readonly rejected: readonly number[];
  readonly referenceChosen: readonly number[];
  readonly referenceRejected: readonly number[];
  /** Of the last prompt token, which TRL's ORPO counts into the supervised loss. */
  readonly prompt: number;
}

type Side = Exclude<keyof GoldenPair, "prompt">;
export type DataName = "wide" | "close";

/** Consecutive batches of pairs with TRL's losses and gradients. */
export interface GoldenCase {
  readonly loss: LossName;
  readonly parameters: Partial<LossParameters>;
  readonly data: DataName;
  readonly batch: number;
  readonly values: readonly number[];
  readonly chosenGradients: readonly number[];
  readonly rejectedGradients: readonly number[];
}

interface GoldenKto {
  readonly parameters: Partial<LossParameters>;
  readonly data: DataName;
  readonly batch: number;
  readonly values: readonly number[];
  readonly klEstimates: readonly number[];
  readonly labels: readonly number[];
  readonly gradients: readonly number[];
}

interface GoldenMetrics {
  readonly batch: number;
  readonly sigmoid: readonly Readonly<Record<string, number>>[];
  readonly simpo: readonly Readonly<Record<string, number>>[];
}

interface LossesFile {
  readonly tokenWeighted: GoldenCase;
  readonly pairWeighted: GoldenCase & { readonly weights: readonly number[] };
  readonly several: Omit<GoldenCase, "parameters"> & { readonly parameters: readonly LossTerm[] };
  readonly metrics: GoldenMetrics;
  readonly kto: readonly GoldenKto[];
}

function read(name: string): Record<string, unknown> {
  return JSON.parse(readFileSync(new URL(`golden/${name}`, import.meta.url), "utf8")) as Record<string, unknown>;
}

const pairsFile = read("pairs.json") as unknown as { readonly unit: number } & Record<DataName, readonly GoldenPair[]>;

/** What is not a plain case of one loss. */
export const golden: LossesFile = read("losses.json") as unknown as LossesFile;

/** Every loss of TRL, by the name of the case. */
export const goldenCases: readonly (readonly [string, GoldenCase])[] = Object.entries(golden)
  .filter(([name]) => name.startsWith("case "))
  .map(([name, each]) => [`${name} ${JSON.stringify((each as GoldenCase).parameters)}`, each as GoldenCase] as const);

/** The golden pairs. */
export function goldenPairs(data: DataName): readonly GoldenPair[] {
  return pairsFile[data];
}

/** Consecutive batches, as many as there are values. */
export function batchesOf({
  data,
  batch,
  values,
}: {
  data: DataName;
  batch: number;
  values: readonly number[];
}): GoldenPair[][] {
  return values.map((_, i) => goldenPairs(data).slice(i * batch, (i + 1) * batch));
}

/** Token log-probabilities in nats. */
export function nats(units: readonly number[]): number[] {
  return units.map((value) => value / pairsFile.unit);
}

/** Log-probability of each completion. */
export function sums(pairs: readonly GoldenPair[], side: Side): number[] {
  return pairs.map((pair) => nats(pair[side]).reduce((total, value) => total + value, 0));
}

/** Everything that a loss may read, but for weights and the KL estimate.
 *  @param withPrompt counts the prompt into the supervised loss */
export function upload(
  device: Device,
  pairs: readonly GoldenPair[],
  { withPrompt = false }: { readonly withPrompt?: boolean } = {},
): Required<Omit<PreferencePairs, "weights" | "klEstimate">> {
  const lengths = (side: Side): number[] => pairs.map((pair) => pair[side].length);
  const supervised = pairs.flatMap((pair) => nats([...(withPrompt ? [pair.prompt] : []), ...pair.chosen]));
  return {
    chosen: tensor(device, sums(pairs, "chosen")),
    rejected: tensor(device, sums(pairs, "rejected")),
    referenceChosen: tensor(device, sums(pairs, "referenceChosen")),
    referenceRejected: tensor(device, sums(pairs, "referenceRejected")),
    chosenLengths: tensor(device, lengths("chosen")),
    rejectedLengths: tensor(device, lengths("rejected")),
    supervisedLoss: tensor(device, [-supervised.reduce((total, value) => total + value, 0) / supervised.length], []),
  };
}

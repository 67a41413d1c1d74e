import { createHash } from "node:crypto";
import { checkInteger, DataError } from "../data-error.ts";
import { keyOf } from "../keyed-hash.ts";
import type { TokenStream } from "../shards/token-stream.ts";
import { readBatch, type Batch, type Window } from "./batch.ts";
import { latest, mixture } from "./mixture.ts";
import { permute } from "./permutation.ts";
import { planStages, type PlannedStage, type SequenceStage } from "./schedule.ts";

/** A dataset of a mixture. */
export interface WeightedStream {
  readonly stream: TokenStream;
  /** Share of the samples, above 0, relative to the other weights. */
  readonly weight: number;
}

/** Settings of {@link createSampler}. */
export interface SamplerOptions {
  /** The training tokens, of one dataset or of several. */
  readonly data: TokenStream | readonly WeightedStream[];
  readonly seed: number;
  /** Tokens in a global batch, the same in every stage. */
  readonly tokensPerBatch: number;
  /** The sequence-length schedule; one stage for a constant length. */
  readonly stages: readonly SequenceStage[];
  /** Keeps documents apart: see {@link Batch}. On by default. */
  readonly documentMask?: boolean;
}

/** Which rows of a step's batch to read. */
export interface BatchSlice {
  /** This rank, from 0; it takes rows `rank`, `rank + ranks`, … of the global batch. */
  readonly rank?: number;
  /** Number of ranks; must divide the sequences of the batch. */
  readonly ranks?: number;
  /** First of this rank's rows to take; 0 by default. */
  readonly first?: number;
  /** Number of rows to take; all the rest by default. */
  readonly count?: number;
}

/** Where training stands in its data, as plain JSON. */
export interface SamplerState {
  /** Tokens already trained on. */
  readonly position: number;
  readonly seed: number;
  readonly tokensPerBatch: number;
  /** Stage of the next step, and where it began. */
  readonly stage: { readonly index: number; readonly sequenceLength: number; readonly firstPosition: number };
  /** Digest of the data and weights. */
  readonly data: string;
}

/** The training order: batch `step` is a pure function of the settings and `step`. */
export interface Sampler {
  readonly stages: readonly PlannedStage[];
  /** Number of steps in all stages. */
  readonly steps: number;
  /** The stage of a step. @throws DataError `wrong-position` past the last */
  stageAt(step: number): PlannedStage;
  /** Windows of a step, without reading them. @throws DataError `wrong-position`, `bad-option` */
  windows(step: number, slice?: BatchSlice): Window[];
  /** A step's batch, or a rank's share of it, or a part of that. @throws DataError as `windows`, and `bad-shard` */
  batch(step: number, slice?: BatchSlice): Batch;
  /** State from which training goes on at `step`. */
  stateAt(step: number): SamplerState;
  /** The step at which a state goes on. @throws DataError `wrong-position` if the order would not be the same */
  stepOf(state: SamplerState): number;
}

/** Makes the training order: the token stream cut into windows of T + 1 tokens, T apart, and shuffled anew for every
 *  pass and stage by a keyed permutation. Nothing is stored, any step is computed directly, and the global order does
 *  not depend on the number of ranks. Tokens at the end that fill no window are left out.
 *  @throws DataError `bad-option`, `too-short` where the data has not one sequence */
export function createSampler(options: SamplerOptions): Sampler {
  const { seed, tokensPerBatch, documentMask = true } = options;
  checkInteger("seed", seed, 0);
  const sources = isList(options.data) ? options.data : [{ stream: options.data, weight: 1 }];
  const stages = planStages(options.stages, tokensPerBatch);
  const steps = stages.reduce((sum, stage) => sum + stage.steps, 0);
  const orders = stages.map((stage) => stageOrder(stage, sources, seed));
  const data = digestOf(sources);

  const stageAt = (step: number): PlannedStage => {
    const stage = stages.findLast(({ firstStep }) => firstStep <= step);
    if (stage !== undefined && Number.isInteger(step) && step < steps) return stage;
    throw new DataError("wrong-position", `step ${step}: expected a step from 0 to ${steps - 1}`, { step, steps });
  };
  const windows = (step: number, slice: BatchSlice = {}): Window[] => {
    const stage = stageAt(step);
    const order = orders[stage.index] ?? unreachable();
    const firstSample = (step - stage.firstStep) * stage.sequences;
    return rowsOf(slice, stage.sequences).map((row) => order(firstSample + row));
  };
  const stateAt = (step: number): SamplerState => {
    const { index, sequenceLength, firstStep } = step === steps ? (stages.at(-1) ?? unreachable()) : stageAt(step);
    const stage = { index, sequenceLength, firstPosition: firstStep * tokensPerBatch };
    return { position: step * tokensPerBatch, seed, tokensPerBatch, stage, data };
  };
  const stepOf = (state: SamplerState): number => {
    const step = state.position / tokensPerBatch;
    if (Number.isInteger(step) && step >= 0 && step <= steps) {
      const here = stateAt(step);
      if (JSON.stringify(here) === JSON.stringify(inOrder(state))) return step;
      throw differs(state, here);
    }
    const message = `token ${state.position} is not the start of a batch of this plan`;
    throw new DataError("wrong-position", message, { state });
  };
  const batch = (step: number, slice?: BatchSlice): Batch =>
    readBatch(windows(step, slice), stageAt(step).sequenceLength, documentMask);
  return { stages, steps, stageAt, windows, batch, stateAt, stepOf };
}

function stageOrder(
  stage: PlannedStage,
  sources: readonly WeightedStream[],
  seed: number,
): (sample: number) => Window {
  const T = stage.sequenceLength;
  const sourceOf = mixture(
    sources.map(({ weight }) => weight),
    seed,
    stage.index,
  );
  const orders = sources.map(({ stream }, source) => {
    stream.requireSequence(T);
    const count = Math.floor((stream.tokens - 1) / T);
    const key = latest((epoch) => keyOf("order", seed, stage.index, source, epoch));
    return (sample: number): Window => {
      const epoch = Math.floor(sample / count);
      return { stream, start: permute(sample - epoch * count, count, key(epoch)) * T };
    };
  });
  return (sample) => {
    const { source, index } = sourceOf(sample);
    return (orders[source] ?? unreachable())(index);
  };
}

function rowsOf(slice: BatchSlice, sequences: number): number[] {
  const { rank = 0, ranks = 1, first = 0 } = slice;
  checkInteger("ranks", ranks, 1);
  checkInteger("rank", rank, 0, ranks - 1);
  if (sequences % ranks !== 0) {
    throw new DataError(
      "bad-option",
      `a batch of ${sequences} sequences cannot be shared by ${ranks} ranks; make tokensPerBatch a multiple of ` +
        "ranks × sequenceLength",
      { sequences, ranks },
    );
  }
  const own = sequences / ranks;
  checkInteger("first", first, 0, own);
  const count = slice.count ?? own - first;
  checkInteger("count", count, 0, own - first);
  return Array.from({ length: count }, (_, i) => rank + (first + i) * ranks);
}

function digestOf(sources: readonly WeightedStream[]): string {
  const hash = createHash("sha256");
  const only = sources.length === 1;
  for (const { stream, weight } of sources) hash.update(`${stream.contentHash} ${only ? 1 : weight}\n`);
  return hash.digest("hex");
}

/** The state's fields in the order of `stateAt`, whatever order its JSON had. */
function inOrder({ position, seed, tokensPerBatch, stage, data }: SamplerState): SamplerState {
  const { index, sequenceLength, firstPosition } = stage;
  return { position, seed, tokensPerBatch, stage: { index, sequenceLength, firstPosition }, data };
}

function differs(saved: SamplerState, here: SamplerState): DataError {
  const names = ["seed", "tokensPerBatch", "data", "stage"] as const;
  const name = names.find((key) => JSON.stringify(saved[key]) !== JSON.stringify(here[key])) ?? "stage";
  const [then, now] = [JSON.stringify(saved[name]), JSON.stringify(here[name])];
  return new DataError(
    "wrong-position",
    `the saved run had ${name} ${then}, this one has ${now}, so its data order cannot go on; ` +
      "resume with the saved settings",
    { name, saved: saved[name], found: here[name] },
  );
}

function isList(data: SamplerOptions["data"]): data is readonly WeightedStream[] {
  return Array.isArray(data);
}

function unreachable(): never {
  throw new Error("a planned stage has an order");
}

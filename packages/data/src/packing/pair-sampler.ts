import { checkInteger, DataError } from "../data-error.ts";
import { keyOf } from "../keyed-hash.ts";
import { permute } from "../sampler/permutation.ts";
import { checkStep, digestOf, shuffled, stepOrder, stepsOf } from "./example-order.ts";
import type { ExamplePosition, StepOrder, TrainingLength } from "./example-order.ts";
import type { PairExample } from "./pack-pairs.ts";

/** Settings of {@link createPairSampler}. */
export interface PairSamplerOptions {
  readonly examples: readonly PairExample[];
  /** Pairs of a step; the last step of a pass has what is left. */
  readonly pairsPerStep: number;
  /** Most tokens that go through the model at once, unless a single pair has more. */
  readonly tokensPerMicroBatch: number;
  readonly length: TrainingLength;
  readonly seed: number;
}

/** What the order of pairs follows from. */
export interface PairSettings {
  readonly [name: string]: number | string;
  readonly seed: number;
  readonly pairsPerStep: number;
  readonly tokensPerMicroBatch: number;
  /** Digest of the pairs. */
  readonly data: string;
}

/** Where preference tuning stands in its data, as plain JSON. */
export type PairPosition = ExamplePosition<PairSettings>;

/** The order of preference tuning: what a step takes is a pure function of the pairs, the settings and `step`. */
export interface PairSampler extends StepOrder<PairSettings> {
  /** The micro-batches of a step, each the places of its pairs among the examples.
   *  @throws DataError `wrong-position` past the last step */
  microBatches(step: number): readonly (readonly number[])[];
  /** The micro-batches of one pass, in no particular order. */
  readonly all: readonly (readonly number[])[];
}

/** Makes the order of preference tuning. Pairs are shuffled once into the batches of the steps, and the batches are
 *  shuffled anew for every pass: a pair always goes through the model with the same others, so that what a frozen
 *  reference says of it, computed once, holds to the last bit for every pass.
 *  @throws DataError `bad-option`, `empty-corpus` */
export function createPairSampler(options: PairSamplerOptions): PairSampler {
  const { examples, pairsPerStep, tokensPerMicroBatch, length, seed } = options;
  checkInteger("pairsPerStep", pairsPerStep, 1);
  checkInteger("tokensPerMicroBatch", tokensPerMicroBatch, 1);
  checkInteger("seed", seed, 0);
  const count = examples.length;
  if (count === 0) throw new DataError("empty-corpus", "expected at least one pair to train on, got none");
  const key = keyOf("pairs", seed);
  const batches = Array.from({ length: Math.ceil(count / pairsPerStep) }, (_, batch) => {
    const first = batch * pairsPerStep;
    const indices = Array.from({ length: Math.min(pairsPerStep, count - first) }, (_, i) => permute(first + i, count, key));
    return pairMicroBatches(examples, indices, tokensPerMicroBatch);
  });
  const steps = stepsOf(length, batches.length, 1);
  const placeOf = shuffled(batches.length, seed);
  const data = digestOf(examples.flatMap(({ chosen, rejected }) => [chosen, rejected]));
  return {
    ...stepOrder({ seed, pairsPerStep, tokensPerMicroBatch, data }, steps),
    all: batches.flat(),
    microBatches: (step) => {
      checkStep(step, steps);
      return batches[placeOf(step)]!;
    },
  };
}

/** Cuts pairs, in their order, into micro-batches of at most so many tokens, and at least one pair. */
export function pairMicroBatches(
  examples: readonly PairExample[],
  indices: readonly number[],
  tokensPerMicroBatch: number,
): readonly (readonly number[])[] {
  const cut: number[][] = [];
  let room = 0;
  for (const index of indices) {
    const { chosen, rejected } = examples[index]!;
    const tokens = chosen.ids.length + rejected.ids.length;
    if (cut.length === 0 || tokens > room) {
      cut.push([]);
      room = tokensPerMicroBatch;
    }
    cut.at(-1)!.push(index);
    room -= tokens;
  }
  return cut;
}

import type { Batch } from "../sampler/batch.ts";
import { ignoredTarget } from "../sampler/batch.ts";
import { packRows, type TrainingExample } from "./pack-rows.ts";

/** A better and a worse answer to one prompt. */
export interface PairExample {
  readonly chosen: TrainingExample;
  readonly rejected: TrainingExample;
}

/** Pairs side by side in one row, without padding; every sequence is a document of its own. */
export interface PairBatch extends Batch {
  /** Number of pairs, P. */
  readonly pairs: number;
  /** Their places among the examples, `[P]`. */
  readonly indices: readonly number[];
  /** Which answer a target belongs to: i for the chosen one of pair i, `P + i` for the rejected one, −1 for none.
   *  `[1, T]` */
  readonly segments: Int32Array;
}

/** Puts pairs into one row, so that one pass goes over all their answers.
 *  @param indices which of the examples  @param more sequences after them, numbered on from `2 P` */
export function packPairs(
  examples: readonly PairExample[],
  indices: readonly number[],
  more: readonly TrainingExample[] = [],
): PairBatch {
  const pairs = indices.length;
  const sequences = [...indices.flatMap((index) => [examples[index]!.chosen, examples[index]!.rejected]), ...more];
  const length = sequences.reduce((sum, { ids }) => sum + ids.length, 0);
  const batch = packRows([sequences], length, 0);
  const segments = new Int32Array(length).fill(-1);
  let start = 0;
  sequences.forEach(({ ids }, at) => {
    const segment = at >= 2 * pairs ? at : at % 2 === 0 ? at / 2 : pairs + (at - 1) / 2;
    for (let t = start; t < start + ids.length; t++) if (batch.targets[t] !== ignoredTarget) segments[t] = segment;
    start += ids.length;
  });
  return { ...batch, pairs, indices, segments };
}

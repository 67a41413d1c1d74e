import { ignoredTarget, type Batch } from "../sampler/batch.ts";

/** A tokenised example of fine-tuning; `EncodedChat` is one. */
export interface TrainingExample {
  /** `[T]` */
  readonly ids: Int32Array;
  /** 1 where the model is trained to produce the token, `[T]`. The first token of an example never is. */
  readonly trained: Uint8Array;
}

/** Puts examples side by side into rows, each kept apart from the others as a document of its own.
 *  @param rows the examples of each row, which fit into it; one longer than a row is cut at its end
 *  @param padId fills what is left of a row, where nothing is trained */
export function packRows(
  rows: readonly (readonly TrainingExample[])[], sequenceLength: number, padId: number,
): Batch {
  const T = sequenceLength;
  const size = rows.length * T;
  const batch = {
    rows: rows.length,
    sequenceLength,
    ids: new Int32Array(size).fill(padId),
    targets: new Int32Array(size).fill(ignoredTarget),
    documentStart: new Int32Array(size),
    positions: new Int32Array(size),
    tokens: 0,
  };
  rows.forEach((examples, row) => {
    let start = 0;
    for (const { ids, trained } of examples) {
      const length = Math.min(ids.length, T - start);
      const at = row * T + start;
      batch.ids.set(ids.subarray(0, length), at);
      for (let t = 0; t < length; t++) {
        batch.documentStart[at + t] = start;
        batch.positions[at + t] = t;
        if (t === 0 || trained[t] !== 1) continue;
        batch.targets[at + t - 1] = ids[t]!;
        batch.tokens++;
      }
      start += length;
    }
    for (let t = start; t < T; t++) {
      batch.documentStart[row * T + t] = start;
      batch.positions[row * T + t] = t - start;
    }
  });
  return batch;
}

import { Random } from "@danu/model";
import { tensor, type Device, type Tensor } from "@danu/tensor";

/** Noise for the embeddings of packed rows: uniform within `±alpha / √(L · C)`, where L is the length of a token's
 *  document, so that a row has the noise of its documents one by one. Jain et al. 2023, NEFTune.
 *  @param documentStart index in its row of the first token of each token's document, `[B, T]`
 *  @param seed equal seeds give equal noise  @returns f32 `[B, T, C]` */
export function embeddingNoise(
  device: Device,
  { documentStart, rows, sequenceLength }: {
    readonly documentStart: Int32Array; readonly rows: number; readonly sequenceLength: number;
  },
  { alpha, hiddenSize, seed }: { readonly alpha: number; readonly hiddenSize: number; readonly seed: number },
): Tensor {
  const random = new Random(seed);
  const values = new Float32Array(rows * sequenceLength * hiddenSize);
  let at = 0;
  for (const length of documentLengths(documentStart, rows, sequenceLength)) {
    const reach = alpha / Math.sqrt(length * hiddenSize);
    for (let i = 0; i < length * hiddenSize; i++) values[at++] = (random.bits() / 2 ** 31 - 1) * reach;
  }
  return tensor(device, values, [rows, sequenceLength, hiddenSize]);
}

/** Lengths of the documents, one after another; what fills a row counts as one. */
function* documentLengths(documentStart: Int32Array, rows: number, T: number): Generator<number, void, undefined> {
  for (let row = 0; row < rows; row++) {
    for (let start = 0; start < T;) {
      let end = start + 1;
      while (end < T && documentStart[row * T + end] === documentStart[row * T + start]) end++;
      yield end - start;
      start = end;
    }
  }
}

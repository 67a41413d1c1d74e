import type { Batch } from "@danu/data";
import type { DecoderInput } from "@danu/model";
import { disposeTree, tensor, type Device, type Tensor } from "@danu/tensor";

/** A micro-batch on a device. */
export interface DecoderBatch {
  readonly input: DecoderInput;
  /** The next token of each, or −100, i32 `[B, T]`. */
  readonly targets: Tensor;
  /** Targets that carry loss. */
  readonly trained: number;
  /** All tokens, B · T. */
  readonly tokens: number;
}

/** Copies a batch of token windows to a device; `releaseBatch` frees it. */
export function toDecoderBatch(device: Device, batch: Batch): DecoderBatch {
  const shape = [batch.rows, batch.sequenceLength];
  const upload = (values: Int32Array): Tensor => tensor(device, values, shape, "i32");
  return {
    input: { ids: upload(batch.ids), positions: upload(batch.positions), documentStart: upload(batch.documentStart) },
    targets: upload(batch.targets),
    trained: batch.tokens,
    tokens: batch.ids.length,
  };
}

/** Frees the tensors of batches. */
export function releaseBatches(batches: readonly DecoderBatch[]): void {
  disposeTree(batches);
}

/** Copies the micro-batches of a step to the device, all or none. */
export function uploadEach<B>(count: number, upload: (i: number) => B): B[] {
  const batches: B[] = [];
  try {
    for (let i = 0; i < count; i++) batches.push(upload(i));
  } catch (error) {
    disposeTree(batches);
    throw error;
  }
  return batches;
}

/** Batches on the device one after another, each freed when the next is asked for. */
export function* uploaded<T, B>(batches: Iterable<T>, upload: (batch: T) => B): Generator<B, void, undefined> {
  for (const batch of batches) {
    const held = upload(batch);
    try {
      yield held;
    } finally {
      disposeTree(held);
    }
  }
}

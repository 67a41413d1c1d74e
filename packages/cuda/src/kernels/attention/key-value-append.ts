import type { appendKeyValuesOp } from "@danu/attention";
import { bytesPerElement, type InputsOf, type KernelOf, type Tensor } from "@danu/tensor";

import { cudaOf } from "../../device.ts";
import { defineKernel } from "../../kernel.ts";

const append = defineKernel("key-value-append", "append_key_values", "ppppppiii");
const PIECE_BYTES = 16;
const THREADS = 128;

function rowPieces(keys: Tensor): number {
  return keys.shape[2]! * keys.shape[3]! * bytesPerElement[keys.dtype] / PIECE_BYTES;
}

/** Whether the keys of a position are whole pieces of 16 bytes. */
export function hasWholePieces([keys]: InputsOf<typeof appendKeyValuesOp>): boolean {
  return Number.isInteger(rowPieces(keys));
}

export const appendKeyValues: KernelOf<typeof appendKeyValuesOp> = ([keys, values, k, v, stored]) => {
  const cuda = cudaOf(keys);
  const [B, T, S, pieces] = [k.shape[0]!, k.shape[1]!, keys.shape[1]!, rowPieces(keys)];
  cuda.launch(
    append, { grid: [Math.ceil(pieces / THREADS), T, B], block: THREADS },
    keys.handle, values.handle, k.handle, v.handle, stored.handle, cuda.fault, T, S, pieces,
  );
};

import { scope, tensor, type Device, type Tensor } from "@danu/tensor";

import { InputError } from "../cli/errors.ts";
import type { IdRows } from "./id-rows.ts";
import type { LoadedModel } from "./open-model.ts";

const maxLogitsBytes = 2 ** 32;

/** Scores of the next token after every position, row by row.
 *  @returns f32 `[B, T, V]`, row-major
 *  @throws InputError when a row is longer than the model's positions, or the result would pass 4 GiB */
export async function computeLogits(
  device: Device, model: LoadedModel, { rows, columns, ids }: IdRows, onRow: (row: number) => void,
): Promise<Float32Array> {
  const { maxPositions, vocabularySize: V } = model.config;
  const T = columns;
  if (T > maxPositions) {
    throw new InputError(`expected rows of at most ${maxPositions} ids, the positions of the model, got ${T}`);
  }
  if (rows * T * V * 4 > maxLogitsBytes) {
    const shape = `[${rows}, ${T}, ${V}]`;
    throw new InputError(`expected logits of at most ${maxLogitsBytes} bytes, got ${shape} in f32; give fewer ids`);
  }
  const all = new Float32Array(rows * T * V);
  for (let row = 0; row < rows; row++) {
    using logits = enqueueRow(device, model, ids.subarray(row * T, (row + 1) * T));
    all.set(await logits.read(), row * T * V);
    onRow(row + 1);
  }
  return all;
}

function enqueueRow(device: Device, { decoder, params }: LoadedModel, ids: Int32Array): Tensor {
  const upload = (values: Int32Array): Tensor => tensor(device, values, [1, ids.length], "i32");
  return scope(() => decoder.logits(params, {
    ids: upload(ids), positions: upload(ids.map((_, t) => t)), documentStart: null,
  }));
}

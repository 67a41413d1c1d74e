import { scope, tensor, type Device, type Tensor } from "@danu/tensor";

import { InputError } from "../cli/errors.ts";
import type { IdRows } from "./id-rows.ts";
import type { LoadedModel } from "./open-model.ts";

const maxLogitsBytes = 2 ** 32;

/** Scores of the next token after every position, row by row.
 *  @returns f32 `[B, T, V]`, row-major
 *  @throws InputError when a row is longer than the model's positions, or the result would pass 4 GiB */
export async function computeLogits(
  device: Device, { config, decoder, params }: LoadedModel, { rows, columns, ids }: IdRows, onRow: (row: number) => void,
): Promise<Float32Array> {
  const [T, V] = [columns, config.vocabularySize];
  if (T > config.maxPositions) {
    throw new InputError(`expected rows of at most ${config.maxPositions} ids, the positions of the model, got ${T}`);
  }
  if (rows * T * V * 4 > maxLogitsBytes) {
    throw new InputError(`expected logits of at most ${maxLogitsBytes} bytes, got [${rows}, ${T}, ${V}] in f32; give fewer ids`);
  }
  const all = new Float32Array(rows * T * V);
  for (let row = 0; row < rows; row++) {
    using logits = enqueueRow(device, { decoder, params }, ids.subarray(row * T, (row + 1) * T));
    all.set(await logits.read(), row * T * V);
    onRow(row + 1);
  }
  return all;
}

function enqueueRow(device: Device, { decoder, params }: Pick<LoadedModel, "decoder" | "params">, ids: Int32Array): Tensor {
  const shape = [1, ids.length];
  return scope(() => decoder.logits(params, {
    ids: tensor(device, ids, shape, "i32"), positions: tensor(device, ids.map((_, t) => t), shape, "i32"), documentStart: null,
  }));
}

import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";

import {
  add, cast, disposeTree, leavesOf, matmul, mul, referenceDevice, slice, stopGradient, sub, sum,
  tensor,
  type Device, type DType, type Tensor,
} from "@danu/tensor";

import { writeSynced } from "../src/files.ts";
import { nodeFileSystem, Trainer, type FileSystem, type TensorFiles, type TrainerOptions } from "../src/index.ts";

/** Weights of a linear regression. */
export interface ToyParams {
  readonly weight: Tensor;
  readonly bias: Tensor;
}

/** Rows of a regression; a mask of 0 takes a row out of the loss. */
export interface ToyBatch {
  readonly x: Tensor;
  readonly y: Tensor;
  readonly mask: Tensor;
  readonly rows: number;
}

/** Numbers that follow from their index, with no pattern to the eye. */
function noise(i: number): number {
  return Math.fround(Math.sin(i * 12.9898) * 2);
}

/** A trainer of a linear regression with weight `[3, 2]` and bias `[2]`.
 *  @param measuring gives the loss with the metric `firstOutput`, a mean over the rows */
export function toyTrainer(
  device: Device = referenceDevice(), computeDtype: DType = "f32", outputs = 2, measuring = false,
  more: Partial<TrainerOptions<ToyParams, ToyBatch>> = {},
): Trainer<ToyParams, ToyBatch> {
  const params = {
    weight: tensor(device, Array.from({ length: 3 * outputs }, (_, i) => noise(i + 1)), [3, outputs]),
    bias: tensor(device, Array.from({ length: outputs }, (_, i) => noise(i + 50)), [outputs]),
  };
  return new Trainer<ToyParams, ToyBatch>({
    params, computeDtype, tokens: (batch) => batch.rows, maxGradientNorm: 1,
    loss: ({ weight, bias }, { x, y, mask }, scale) => {
      const output = add(matmul(x, cast(weight, "f32")), cast(bias, "f32"));
      const error = sub(output, y);
      const loss = mul(sum(mul(mul(error, error), mask)), scale);
      return measuring ? { loss, metrics: { firstOutput: mul(sum(slice(stopGradient(output), 1, 0, 1)), scale) } } : loss;
    },
    ...more,
  });
}

/** Rows `first` to `last` of the data of a step. */
export function toyBatch(device: Device, step: number, first = 0, last = 8, masked = false): ToyBatch {
  const rows = last - first;
  const values = (width: number, seed: number): number[] => (
    Array.from({ length: rows * width }, (_, i) => noise((step * 8 + first) * width + i + seed))
  );
  return {
    x: tensor(device, values(3, 100), [rows, 3]),
    y: tensor(device, values(2, 500), [rows, 2]),
    mask: tensor(device, Array.from({ length: rows }, () => (masked ? 0 : 1)), [rows, 1]),
    rows: masked ? 0 : rows,
  };
}

/** Everything of a trainer that a checkpoint must bring back, as bytes in hexadecimal. */
export async function fingerprint(trainer: Trainer<ToyParams, ToyBatch>): Promise<string> {
  const trees = [trainer.params, trainer.compute, trainer.optimizer.mean, trainer.optimizer.variance];
  const parts = [];
  for (const { tensor: leaf } of leavesOf(trees)) parts.push(Buffer.from(await leaf.bytes()).toString("hex"));
  return `${parts.join(" ")} ${trainer.optimizer.steps}`;
}

/** Frees the tensors of a step. */
export function release(batches: readonly ToyBatch[]): void {
  disposeTree(batches);
}

/** Keeps tensors as JSON; writes go through the file system under test. */
export function toyTensorFiles(fs: FileSystem = nodeFileSystem): TensorFiles {
  return {
    write: async (path, tensors) => {
      const stored: Record<string, unknown> = {};
      for (const { name, dtype, shape, read } of tensors) {
        stored[name] = { dtype, shape, hex: Buffer.from(await read()).toString("hex") };
      }
      await writeSynced(path, JSON.stringify(stored), fs);
    },
    open: async (path) => {
      type Stored = Record<string, { dtype: string; shape: number[]; hex: string }>;
      const stored = JSON.parse(await readFile(path, "utf8")) as Stored;
      return {
        names: Object.keys(stored), info: (name) => stored[name]!,
        read: async (name) => new Uint8Array(Buffer.from(stored[name]!.hex, "hex")), close: async () => undefined,
      };
    },
  };
}

/** Runs a test in a folder of its own. */
export async function inFolder(body: (folder: string) => Promise<void>): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), "danu train é "));
  try {
    await body(folder);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

import type { AdamWAttrs, adamwOp } from "@danu/optim";
import type { InputsOf, KernelOf } from "@danu/tensor";

import { cudaOf } from "../../device.ts";
import { defineKernel } from "../../kernel.ts";
import { flat } from "../flat.ts";
import { addressIn } from "../fp8/fp8-cast.ts";

const adamwFlat = defineKernel("adamw", "adamw_flat", "pppppp(fffffff)l");
const adamwMatrix = defineKernel("adamw", "adamw_matrix", "pppppp(fffffff)ppppiii");

const TILE = 128;

/** Whether the kernels serve: copies in bf16, and rows and columns of a matrix in fp8 that start at multiples of 16 bytes. */
export function isAdamW([param, , , , , copy, ...fp8]: InputsOf<typeof adamwOp>, { row = 0 }: AdamWAttrs): boolean {
  const sizes = fp8.length === 0 ? [] : [row, ...param.shape, ...fp8[1].shape];
  return (copy === null || copy.dtype === "bf16") && sizes.every((size) => size % 16 === 0);
}

export const adamw: KernelOf<typeof adamwOp> = ([param, gradient, mean, variance, gradientScale, copy, ...fp8], attrs) => {
  const { learningRate, beta1, beta2, eps, weightDecay, step, row = 0 } = attrs;
  const cuda = cudaOf(param);
  const common = [
    param.handle, mean.handle, variance.handle, gradient.handle, copy?.handle ?? 0, gradientScale?.handle ?? 0,
    // In f64, then rounded once, as PyTorch does.
    1 - learningRate * weightDecay, 1 - beta1, beta2, 1 - beta2, eps, learningRate / (1 - beta1 ** step), Math.sqrt(1 - beta2 ** step),
  ] as const;
  if (fp8.length === 0) return cuda.launch(adamwFlat, flat(param.size, 4), ...common, param.size);
  const [scaling, rowwise, transposed] = fp8;
  const [rows, columns] = param.shape as [number, number];
  const shape = { grid: [Math.ceil(rows / TILE) * Math.ceil(columns / TILE)], block: 256 } as const;
  return cuda.launch(
    adamwMatrix, shape, ...common, rowwise.handle + row * columns, transposed.handle + row, addressIn(scaling, "weight", "amax"), addressIn(scaling, "weight", "scale"),
    rows, columns, rowwise.shape[0]!,
  );
};

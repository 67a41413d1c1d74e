import type { adamwOp } from "@danu/optim";
import type { addIntoOp, KernelOf, scaleIntoOp } from "@danu/tensor";

import { cudaOf } from "../device.ts";
import { defineKernel } from "../kernel.ts";
import { flat, fusedType } from "./flat.ts";

const adamwUpdate = defineKernel("updates", "adamw_update", "pppppp(fffffff)l");
const addKernels = {
  f32: { f32: defineKernel("updates", "add_into_f32_f32", "ppl"), bf16: defineKernel("updates", "add_into_f32_bf16", "ppl") },
  bf16: { f32: defineKernel("updates", "add_into_bf16_f32", "ppl"), bf16: defineKernel("updates", "add_into_bf16_bf16", "ppl") },
};
const scaleKernels = {
  f32: defineKernel("updates", "scale_into_f32", "ppl"),
  bf16: defineKernel("updates", "scale_into_bf16", "ppl"),
};

export const adamw: KernelOf<typeof adamwOp> = ([param, gradient, mean, variance, gradientScale, copy], attrs) => {
  const { learningRate, beta1, beta2, eps, weightDecay, step } = attrs;
  // In f64, then rounded once, as PyTorch does.
  const scalars = [
    1 - learningRate * weightDecay, 1 - beta1, beta2, 1 - beta2, eps, learningRate / (1 - beta1 ** step), Math.sqrt(1 - beta2 ** step),
  ] as const;
  cudaOf(param).launch(
    adamwUpdate, flat(param.size, 4), param.handle, mean.handle, variance.handle, gradient.handle, copy?.handle ?? 0,
    gradientScale?.handle ?? 0, ...scalars, param.size,
  );
};

export const addInto: KernelOf<typeof addIntoOp> = ([target, source]) => {
  cudaOf(target).launch(addKernels[fusedType(target)][fusedType(source)], flat(target.size), target.handle, source.handle, target.size);
};

export const scaleInto: KernelOf<typeof scaleIntoOp> = ([target, factor]) => {
  cudaOf(target).launch(scaleKernels[fusedType(target)], flat(target.size), target.handle, factor.handle, target.size);
};

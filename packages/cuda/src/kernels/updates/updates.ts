import type { addIntoOp, KernelOf, scaleIntoOp } from "@danu/tensor";

import { cudaOf } from "../../device.ts";
import { defineKernel } from "../../kernel.ts";
import { flat, fusedType } from "../flat.ts";

const addKernels = {
  f32: { f32: defineKernel("updates", "add_into_f32_f32", "ppl"), bf16: defineKernel("updates", "add_into_f32_bf16", "ppl") },
  bf16: { f32: defineKernel("updates", "add_into_bf16_f32", "ppl"), bf16: defineKernel("updates", "add_into_bf16_bf16", "ppl") },
};
const scaleKernels = {
  f32: defineKernel("updates", "scale_into_f32", "ppl"),
  bf16: defineKernel("updates", "scale_into_bf16", "ppl"),
};

export const addInto: KernelOf<typeof addIntoOp> = ([target, source]) => {
  cudaOf(target).launch(addKernels[fusedType(target)][fusedType(source)], flat(target.size), target.handle, source.handle, target.size);
};

export const scaleInto: KernelOf<typeof scaleIntoOp> = ([target, factor]) => {
  cudaOf(target).launch(scaleKernels[fusedType(target)], flat(target.size), target.handle, factor.handle, target.size);
};

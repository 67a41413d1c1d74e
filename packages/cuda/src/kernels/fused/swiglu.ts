import type { KernelOf, swigluGradOp, swigluOp } from "@danu/tensor";

import { cudaOf } from "../../device.ts";
import { defineKernel } from "../../kernel.ts";
import { flat, fusedType } from "../flat.ts";

const forward = {
  f32: defineKernel("swiglu", "swiglu_f32", "pppl"),
  bf16: defineKernel("swiglu", "swiglu_bf16", "pppl"),
};
const backward = {
  f32: defineKernel("swiglu", "swiglu_gradient_f32", "pppppl"),
  bf16: defineKernel("swiglu", "swiglu_gradient_bf16", "pppppl"),
};

export const swiglu: KernelOf<typeof swigluOp> = ([y], [gate, up]) => {
  cudaOf(y).launch(forward[fusedType(gate)], flat(y.size), y.handle, gate.handle, up.handle, y.size);
};

export const swigluGrad: KernelOf<typeof swigluGradOp> = ([dGate, dUp], [g, gate, up]) => {
  cudaOf(dGate).launch(backward[fusedType(gate)], flat(g.size), dGate.handle, dUp.handle, g.handle, gate.handle, up.handle, g.size);
};

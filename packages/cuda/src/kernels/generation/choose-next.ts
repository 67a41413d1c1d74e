import type { chooseNextOp, InputsOf, KernelOf } from "@danu/tensor";

import { cudaOf } from "../../device.ts";
import { rangeOf } from "../../early-starts.ts";
import { defineKernel } from "../../kernel.ts";

const signature = "ppppi";
const kernels = {
  f32: defineKernel("choose-next", "choose_next_f32", signature),
  bf16: defineKernel("choose-next", "choose_next_bf16", signature),
  f16: defineKernel("choose-next", "choose_next_f16", signature),
};
type DType = keyof typeof kernels;
const WIDEST_LOAD = 16;

export function isForChoosing([, , , logits]: InputsOf<typeof chooseNextOp>): boolean {
  return Object.hasOwn(kernels, logits.dtype) && logits.handle % WIDEST_LOAD === 0;
}

export const chooseNext: KernelOf<typeof chooseNextOp> = ([id, position, stored, logits]) => {
  const overlap = { reads: [], writes: [id, position, stored].map(rangeOf) };
  cudaOf(id).launch(
    kernels[logits.dtype as DType], { grid: [1], block: 1024, overlap }, id.handle, position.handle, stored.handle, logits.handle, logits.size,
  );
};

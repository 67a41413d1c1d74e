import type { addSquaresOp, clipScaleOp } from "@danu/optim";
import type { KernelOf } from "@danu/tensor";

import { cudaOf } from "../../device.ts";
import { defineKernel } from "../../kernel.ts";

const squares = defineKernel("gradient-norm", "gradient_norm_squares", "ppl");
const addSums = defineKernel("gradient-norm", "gradient_norm_add", "ppi");
const scaleOf = defineKernel("gradient-norm", "gradient_norm_scale", "pppd");

/** Elements whose squares one block sums. */
const chunk = 65_536;

export const addSquares: KernelOf<typeof addSquaresOp> = ([total, x]) => {
  const cuda = cudaOf(total);
  const chunks = Math.ceil(x.size / chunk);
  cuda.withScratch(chunks * Float64Array.BYTES_PER_ELEMENT, (sums) => {
    cuda.launch(squares, { grid: [chunks], block: 256 }, sums, x.handle, x.size);
    cuda.launch(addSums, { grid: [1], block: 1024 }, total.handle, sums, chunks);
  });
};

export const clipScale: KernelOf<typeof clipScaleOp> = ([scale, norm, total], { maxNorm }) => {
  cudaOf(scale).launch(scaleOf, { grid: [1], block: 1 }, scale.handle, norm.handle, total.handle, maxNorm);
};

import type { clipScaleOp, sumSquaresOp } from "@danu/optim";
import type { KernelOf } from "@danu/tensor";

import { cudaOf } from "../../device.ts";
import { defineKernel } from "../../kernel.ts";
import { tablesOf } from "./table.ts";

const most = 168;
const squares = defineKernel("gradient-norm", "gradient_norm_squares", `p([${most} pli]i)`);
const sumOf = defineKernel("gradient-norm", "gradient_norm_sum", "ppi");
const scaleOf = defineKernel("gradient-norm", "gradient_norm_scale", "pppd");

/** Elements whose squares one block sums. */
const chunk = 65_536;

export const sumSquares: KernelOf<typeof sumSquaresOp> = ([total], tensors) => {
  const cuda = cudaOf(total);
  const tables = tablesOf(tensors, most, (x) => Math.ceil(x.size / chunk), (x, first) => [x.handle, x.size, first] as const);
  const all = tables.reduce((sum, { blocks }) => sum + blocks, 0);
  cuda.withScratch(all * Float64Array.BYTES_PER_ELEMENT, (sums) => {
    let first = 0;
    for (const { rows, blocks } of tables) {
      cuda.launch(squares, { grid: [blocks], block: 256 }, sums + first * Float64Array.BYTES_PER_ELEMENT, rows, rows.length);
      first += blocks;
    }
    cuda.launch(sumOf, { grid: [1], block: 1024 }, total.handle, sums, all);
  });
};

export const clipScale: KernelOf<typeof clipScaleOp> = ([scale, norm, total], { maxNorm }) => {
  cudaOf(scale).launch(scaleOf, { grid: [1], block: 1 }, scale.handle, norm.handle, total.handle, maxNorm);
};

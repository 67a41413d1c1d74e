import { bytesPerElement, type KernelOf, type rmsNormGradOp, type rmsNormOp } from "@danu/tensor";

import { cudaOf } from "../device.ts";
import { defineKernel } from "../kernel.ts";
import { fusedType, type FusedDType } from "./flat.ts";

// bf16 rows of a multiple of 8 channels stay in registers, up to 2560 and up to 8192 of them; any others are read twice.
const forwardNarrow = defineKernel("norm", "rms_norm_forward", "pppppppiif");
const forwardWide = defineKernel("norm", "rms_norm_forward_wide", "pppppppiif");
const forwardRows = {
  f32: defineKernel("norm-rows", "norm_rows_f32", "ppppif"),
  bf16: defineKernel("norm-rows", "norm_rows_bf16", "ppppif"),
};
const backwardNarrow = defineKernel("norm", "rms_norm_backward", "pppppppii");
const backwardWide = defineKernel("norm", "rms_norm_backward_wide", "pppppppii");
const backwardRows = {
  f32: defineKernel("norm-rows", "norm_rows_gradient_f32", "ppppppii"),
  bf16: defineKernel("norm-rows", "norm_rows_gradient_bf16", "ppppppii"),
};
const weightGradient = defineKernel("norm", "rms_norm_weight_gradient", "ppiii");

/** Most partial sums of the weight's gradient: what an H100 runs at once, and the same on every chip, for the same bits. */
const mostParts = 384;

function widthOf(dtype: FusedDType, C: number): "narrow" | "wide" | "any" {
  if (dtype !== "bf16" || C % 8 !== 0 || C > 8192) return "any";
  return C <= 2560 ? "narrow" : "wide";
}

export const rmsNorm: KernelOf<typeof rmsNormOp> = ([y, inverseRms], [x, weight], { eps }) => {
  const cuda = cudaOf(y);
  const [rows, C, dtype] = [inverseRms.size, weight.size, fusedType(x)];
  const width = widthOf(dtype, C);
  if (width === "any") {
    cuda.launch(forwardRows[dtype], { grid: [rows], block: 128 }, y.handle, inverseRms.handle, x.handle, weight.handle, C, eps);
    return;
  }
  const [kernel, block] = width === "narrow" ? [forwardNarrow, 64] as const : [forwardWide, 256] as const;
  cuda.launch(kernel, { grid: [rows], block }, x.handle, weight.handle, inverseRms.handle, y.handle, 0, 0, 0, rows, C, eps);
};

export const rmsNormGrad: KernelOf<typeof rmsNormGradOp> = ([dx, dWeight], [g, x, weight, inverseRms]) => {
  const cuda = cudaOf(dx);
  const [rows, C, dtype] = [inverseRms.size, weight.size, fusedType(x)];
  const width = widthOf(dtype, C);
  const parts = Math.min(rows, mostParts);
  cuda.withScratch(parts * C * bytesPerElement.f32, (partial) => {
    if (width === "any") {
      const { handle } = dx;
      cuda.launch(backwardRows[dtype], { grid: [parts], block: 256 }, handle, partial, g.handle, x.handle, weight.handle, inverseRms.handle, rows, C);
    } else {
      const [kernel, block] = width === "narrow" ? [backwardNarrow, 320] as const : [backwardWide, 512] as const;
      cuda.launch(kernel, { grid: [parts], block }, g.handle, x.handle, weight.handle, inverseRms.handle, 0, dx.handle, partial, rows, C);
    }
    cuda.launch(weightGradient, { grid: [Math.ceil(C / 32)], block: 512 }, partial, dWeight.handle, parts, C, 0);
  });
};

import { bytesPerElement, fp8Padded, type Handle, type KernelOf, type rmsNormGradOp, type rmsNormOp } from "@danu/tensor";

import { cudaOf, type CudaDevice } from "../../device.ts";
import { defineKernel } from "../../kernel.ts";
import { fusedType, type FusedDType } from "../flat.ts";
import { quantise, type CastPlaces } from "../fp8/fp8-cast.ts";

// bf16 rows of a multiple of 8 channels stay in registers, up to 2560 and up to 8192 of them; any others are read twice.
const forwardNarrow = defineKernel("norm", "rms_norm_forward", "pppppppiif");
const forwardWide = defineKernel("norm", "rms_norm_forward_wide", "pppppppiif");
const forwardRows = {
  f32: defineKernel("norm-rows", "norm_rows_f32", "ppppif"),
  bf16: defineKernel("norm-rows", "norm_rows_bf16", "ppppif"),
};
const backwardNarrow = defineKernel("norm", "rms_norm_backward", "pppppppiii");
const backwardWide = defineKernel("norm", "rms_norm_backward_wide", "pppppppiii");
const backwardFp8Narrow = defineKernel("norm-fp8", "rms_norm_backward_fp8", "pppppppppppiiii");
const backwardFp8Wide = defineKernel("norm-fp8", "rms_norm_backward_fp8_wide", "pppppppppppiiii");
const backwardRows = {
  f32: defineKernel("norm-rows", "norm_rows_gradient_f32", "pppppppii"),
  bf16: defineKernel("norm-rows", "norm_rows_gradient_bf16", "pppppppii"),
};
const weightGradient = defineKernel("norm", "rms_norm_weight_gradient", "ppii");

/** Most partial sums of the weight's gradient: what an H100 runs at once, and the same on every chip, for the same bits. */
const mostParts = 384;

function widthOf(dtype: FusedDType, C: number): "narrow" | "wide" | "any" {
  if (dtype !== "bf16" || C % 8 !== 0 || C > 8192) return "any";
  return C <= 2560 ? "narrow" : "wide";
}

/** Whether the rows of a matrix in bf16 stay in registers. */
export function isForRegisters(C: number): boolean {
  return widthOf("bf16", C) !== "any";
}

/** Rows in bf16 that stay in registers. */
interface Rows {
  readonly x: Handle;
  readonly weight: Handle;
  /** f32 `[rows]` */
  readonly rstd: Handle;
  readonly rows: number;
  readonly columns: number;
}

/** What a norm writes beside rstd; addresses. */
interface NormOutputs {
  /** bf16 */
  readonly y?: Handle;
  /** e4m3, times `scale`. */
  readonly q?: Handle;
  /** Raised to the largest magnitude. */
  readonly amax?: Handle;
  readonly scale?: Handle;
}

/** Enqueues a norm. */
export function normForward(
  cuda: CudaDevice, { x, weight, rstd, rows, columns, eps }: Rows & { readonly eps: number }, { y = 0, q = 0, amax = 0, scale = 0 }: NormOutputs,
): void {
  const [kernel, block] = widthOf("bf16", columns) === "narrow" ? [forwardNarrow, 64] as const : [forwardWide, 256] as const;
  cuda.launch(kernel, { grid: [rows], block }, x, weight, rstd, y, q, amax, scale, rows, columns, eps);
}

/** Gradients of a norm; addresses. */
interface NormGradients {
  readonly dy: Handle;
  /** A gradient of x that is added, bf16, 0 for none. */
  readonly residual: Handle;
  readonly dx: Handle;
  /** f32 */
  readonly dWeight: Handle;
}

/** Rows that leave the kernel with copies transposed at once. */
const SLAB = 32;
/** Fewest slabs that it takes: two for each multiprocessor of an H100, or nearly. */
const fewestSlabs = 256;

/** Shared memory of its blocks. */
function sharedBytes(columns: number, { transposed }: CastPlaces): number {
  return (transposed === 0 ? 0 : SLAB * Math.ceil(columns / 128) * 128) + 256;
}

/** How rows are shared out: of `parts` blocks each takes every `parts`-th run of rows. The same with copies and without, for the
 *  same bits of dWeight: slabs where there are enough, for as many blocks as an H100 runs at once or fewer that have as many each. */
function sharesOf(rows: number, columns: number): { readonly parts: number; readonly run: number } {
  const slabs = Math.ceil(rows / SLAB);
  if (slabs < fewestSlabs) {
    const parts = Math.min(rows, mostParts);
    return { parts, run: Math.ceil(rows / parts) };
  }
  const most = widthOf("bf16", columns) === "narrow" ? 264 : 132;
  return { parts: Math.ceil(slabs / Math.ceil(slabs / most)), run: SLAB };
}

/** Enqueues the gradients of a norm, and e5m2 casts of dx as bf16 has it; the same bits whichever kernels do it. */
export function normBackward(
  cuda: CudaDevice, { x, weight, rstd, rows, columns, dy, residual, dx, dWeight }: Rows & NormGradients, copies?: CastPlaces,
): void {
  const isNarrow = widthOf("bf16", columns) === "narrow";
  const { parts, run } = sharesOf(rows, columns);
  withParts(cuda, parts, columns, dWeight, (partial) => {
    const inputs = [dy, x, weight, rstd, residual, dx, partial] as const;
    const shape = { grid: [parts], block: isNarrow ? 320 : 512 } as const;
    if (copies !== undefined && run === SLAB && sharedBytes(columns, copies) <= cuda.chip.sharedBytes) {
      const { rowwise, pitch = columns, transposed, scale, amax } = copies;
      const outputs = [rowwise, transposed, amax, scale, rows, columns, pitch, fp8Padded(rows)] as const;
      return cuda.launch(isNarrow ? backwardFp8Narrow : backwardFp8Wide, { ...shape, shared: sharedBytes(columns, copies) }, ...inputs, ...outputs);
    }
    cuda.launch(isNarrow ? backwardNarrow : backwardWide, shape, ...inputs, rows, columns, run);
    if (copies !== undefined) quantise(cuda, "gradient", { x: dx, rows, columns }, copies, copies);
  });
}

/** Runs `f` with memory for sums over some of the rows each, and adds those up. */
function withParts(cuda: CudaDevice, parts: number, C: number, dWeight: Handle, f: (partial: Handle) => void): void {
  cuda.withScratch(parts * C * bytesPerElement.f32, (partial) => {
    f(partial);
    cuda.launch(weightGradient, { grid: [Math.ceil(C / 32)], block: 512 }, partial, dWeight, parts, C);
  });
}

export const rmsNorm: KernelOf<typeof rmsNormOp> = ([y, inverseRms], [x, weight], { eps }) => {
  const cuda = cudaOf(y);
  const [rows, C, dtype] = [inverseRms.size, weight.size, fusedType(x)];
  if (widthOf(dtype, C) !== "any") {
    return normForward(cuda, { x: x.handle, weight: weight.handle, rstd: inverseRms.handle, rows, columns: C, eps }, { y: y.handle });
  }
  return cuda.launch(forwardRows[dtype], { grid: [rows], block: 128 }, y.handle, inverseRms.handle, x.handle, weight.handle, C, eps);
};

export const rmsNormGrad: KernelOf<typeof rmsNormGradOp> = ([dx, dWeight], [g, x, weight, inverseRms, residual]) => {
  const cuda = cudaOf(dx);
  const added = residual?.handle ?? 0;
  const [rows, C, dtype] = [inverseRms.size, weight.size, fusedType(x)];
  if (widthOf(dtype, C) !== "any") {
    const tensors = { x: x.handle, weight: weight.handle, rstd: inverseRms.handle, rows, columns: C };
    return normBackward(cuda, { ...tensors, dy: g.handle, residual: added, dx: dx.handle, dWeight: dWeight.handle });
  }
  const parts = Math.min(rows, mostParts);
  return withParts(cuda, parts, C, dWeight.handle, (partial) => {
    cuda.launch(backwardRows[dtype], { grid: [parts], block: 256 }, dx.handle, partial, g.handle, x.handle, weight.handle, inverseRms.handle, added, rows, C);
  });
};

import { aroundAxis, dtypes, type argmaxOp, type DType, type Handle, type KernelOf, type sumOp } from "@danu/tensor";

import { cudaOf, type CudaDevice } from "../../device.ts";
import { kernelFamily, threads } from "../families.ts";

// The positions are the codes in reduce.cu.
const kinds = ["sum", "max", "argmax"] as const;

const kernels = kernelFamily("reduce", "reduce", "pppi(llllii)", dtypes);

/** Elements that a thread has on their way at once; AHEAD of reduce.cu. */
const ahead = 8;
/** Blocks that keep any GPU busy. Not the number of its multiprocessors: sums must not depend on it. */
const enough = 512;
/** Most bytes of the result of one part. */
const RESULT_BYTES = 8;

/** A reduction of `[outer, reduced, inner]` along the middle axis. */
interface Reduction {
  readonly kind: number;
  readonly dtype: DType;
  readonly outer: number;
  readonly inner: number;
}

/** Reduces elements, or results of parts, to `y`: in one launch, or in parts first where the lines are few and long. */
function reduceInto(cuda: CudaDevice, y: Handle, x: Handle, results: Handle, reduced: number, reduction: Reduction): void {
  const { kind, dtype, outer, inner } = reduction;
  if (outer * inner === 0) return;
  const { depth, part, parts, blocks } = cutOf(outer, reduced, inner);
  const launch = (to: Handle): void => {
    cuda.launch(kernels[dtype], { grid: [blocks, parts], block: threads }, to, x, results, kind, outer, reduced, inner, part, parts, depth);
  };
  if (parts === 1) return launch(y);
  return cuda.withScratch(outer * parts * inner * RESULT_BYTES, (scratch) => {
    launch(scratch);
    reduceInto(cuda, y, 0, scratch, parts, reduction);
  });
}

/** How the work is cut, by shape alone. */
function cutOf(outer: number, reduced: number, inner: number): { depth: number; part: number; parts: number; blocks: number } {
  // Neighbouring threads take neighbouring lines where there are some: a warp's worth of them at least.
  const lines = Math.min(32, powerOfTwo(inner));
  const depth = Math.min(threads / (inner === 1 ? 1 : lines), powerOfTwo(Math.ceil(reduced / ahead)));
  const blocks = Math.ceil((outer * inner) / (threads / depth));
  const worthwhile = Math.floor(reduced / (4 * ahead * depth));
  const part = Math.max(1, Math.ceil(reduced / Math.max(1, Math.min(worthwhile, Math.floor(enough / blocks)))));
  return { depth, part, parts: Math.max(1, Math.ceil(reduced / part)), blocks };
}

/** The power of two that is not less. */
function powerOfTwo(n: number): number {
  return 2 ** Math.ceil(Math.log2(Math.max(n, 1)));
}

export function reduce(name: "sum" | "max"): KernelOf<typeof sumOp> {
  const kind = kinds.indexOf(name);
  return ([y], [x], { axis }) => {
    const { outer, reduced, inner } = aroundAxis(x.shape, axis);
    reduceInto(cudaOf(y), y.handle, x.handle, 0, reduced, { kind, dtype: x.dtype, outer, inner });
  };
}

export const argmaxKernel: KernelOf<typeof argmaxOp> = ([y], [x], { axis }) => {
  const { outer, reduced, inner } = aroundAxis(x.shape, axis);
  reduceInto(cudaOf(y), y.handle, x.handle, 0, reduced, { kind: kinds.indexOf("argmax"), dtype: x.dtype, outer, inner });
};

import { bytesPerElement, type Handle } from "@danu/tensor";

import type { CudaDevice } from "../../device.ts";
import type { LaunchShape } from "../../launcher.ts";
import type { TensorMap } from "../../tensor-map.ts";

// What is common to the products of gemm.cu, which its first lines describe.

/** Problems<1> of gemm.cuh: maps of the operands and of the result, two scales, sizes. */
export const gemmSignature = "((mmmppiii))";
/** The same with the map of a residual. */
export const gemmResidualSignature = "((mmmppiii))m";

// Two blocks share a pair of tiles of 256 × 256 together.
const PAIR = 256;
// With fewer pairs half of a GPU has no work, and the tiles of matmul.cu, a quarter as large, are done sooner.
const LEAST_PAIRS = 33;
const SHARED_BYTES = 230_400;
const RESIDUAL_SHARED_BYTES = 214_016;

/** Rows and columns of a result. */
interface Size {
  readonly M: number;
  readonly N: number;
}

function pairsOf(products: readonly Size[]): number {
  return products.reduce((sum, { M, N }) => sum + Math.ceil(M / PAIR) * Math.ceil(N / PAIR), 0);
}

/** Whether the kernels serve on this GPU, and the products of a launch are large enough for them, together. */
export function isForGemm(cuda: CudaDevice, ...products: readonly Size[]): boolean {
  return cuda.chip.capability === 90 && pairsOf(products) >= LEAST_PAIRS;
}

/** Launch of products: blocks stay and take pair after pair. */
export function gemmShape(cuda: CudaDevice, hasResidual: boolean, ...products: readonly Size[]): LaunchShape {
  const grid = [2 * Math.min(Math.floor(cuda.chip.multiprocessors / 2), pairsOf(products))] as const;
  return { grid, block: 384, shared: hasResidual ? RESIDUAL_SHARED_BYTES : SHARED_BYTES };
}

/** An operand of `outside` rows or columns. `alongK`: its stored rows lie along k, so that 128 bytes of k of 128 of them come at a
 *  time, otherwise 64 × 64 elements.  @param step elements from one stored row to the next */
export function operandMap(cuda: CudaDevice, base: Handle, dtype: "bf16" | "u8", outside: number, K: number, step: number, alongK: boolean): TensorMap {
  const bytes = bytesPerElement[dtype];
  return cuda.maps.of({ base, dtype, sizes: alongK ? [K, outside] : [outside, K], strides: [step * bytes], box: alongK ? [128 / bytes, 128] : [64, 64] });
}

/** A result or residual `[M, N]`.  @param step elements from one row to the next */
export function resultMap(cuda: CudaDevice, base: Handle, dtype: "bf16" | "f32", M: number, N: number, step: number): TensorMap {
  return cuda.maps.of({ base, dtype, sizes: [N, M], strides: [step * bytesPerElement[dtype]], box: [dtype === "f32" ? 32 : 64, 64] });
}

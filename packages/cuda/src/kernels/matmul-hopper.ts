import { bytesPerElement, type Handle } from "@danu/tensor";

import type { CudaDevice } from "../device.ts";
import { defineKernel, type Kernel } from "../kernel.ts";
import type { TensorMap } from "../tensor-map.ts";
import { rowStepsOf, type Product } from "./product.ts";

// Problems<1> of gemm.cuh: maps of a, b and y, two scales, sizes.
const signature = "((mmmppiii))";
const sharedBytes = 230_400;
const forwardResidual = defineKernel("gemm", "gemm_bf16_forward_residual", `${signature}m`);
const forwardResidualSharedBytes = 214_016;
const weightGradientAdd = defineKernel("gemm", "gemm_bf16_weight_gradient", signature);
/** Kernels without a residual, by layout and type of the result. */
const plain: Readonly<Partial<Record<string, Kernel<typeof signature>>>> = {
  "nt bf16": defineKernel("gemm", "gemm_bf16_forward", signature),
  "nt f32": defineKernel("gemm", "gemm_bf16_forward_f32", signature),
  "nn bf16": defineKernel("gemm", "gemm_bf16_input_gradient", signature),
  "tn f32": defineKernel("gemm", "gemm_bf16_weight_gradient_fresh", signature),
};

// Two blocks share a pair of tiles.
const PAIR = 256;
// With fewer pairs half of a Hopper GPU has no work, and tiles a quarter as large are done sooner.
const LEAST_PAIRS = 33;

function pairsOf({ M, N }: Product): number {
  return Math.ceil(M / PAIR) * Math.ceil(N / PAIR);
}

/** Whether there is a kernel: a residual is added to forward products in bf16, and to gradients of weights where they are. */
function isKnown({ y, residual, layout, result }: Product): boolean {
  const known = `${layout} ${result}`;
  return residual === 0 ? plain[known] !== undefined : known === "nt bf16" || (known === "tn f32" && residual === y);
}

/** Whether the kernels for Hopper serve: large products of bf16 whose rows the copy engine can read, on the one chip that has
 *  their instructions. */
export function isForHopper(cuda: CudaDevice, product: Product): boolean {
  const { y, a, b, residual, dtype, result, N, K, count } = product;
  if (cuda.chip.capability !== 90 || dtype !== "bf16" || count !== 1 || K === 0 || !isKnown(product)) return false;
  const rows = [...rowStepsOf(product).map((step) => step * bytesPerElement.bf16), N * bytesPerElement[result]];
  return pairsOf(product) >= LEAST_PAIRS && [y, a, b, residual, ...rows].every((at) => at % 16 === 0);
}

/** Enqueues a product by the kernels for Hopper. */
export function multiplyHopper(cuda: CudaDevice, product: Product): void {
  const { y, a, b, residual, result, M, N, K, layout } = product;
  const [stepA, stepB] = rowStepsOf(product);
  // Rows along k come as 64 k of 128 rows at a time, others as 64 × 64.
  const operand = (base: Handle, outside: number, step: number, alongK: boolean): TensorMap => cuda.maps.of({
    base, dtype: "bf16", sizes: alongK ? [K, outside] : [outside, K], strides: [step * bytesPerElement.bf16], box: [64, alongK ? 128 : 64],
  });
  const written = (base: Handle): TensorMap => cuda.maps.of({
    base, dtype: result === "f32" ? "f32" : "bf16", sizes: [N, M], strides: [N * bytesPerElement[result]], box: [result === "f32" ? 32 : 64, 64],
  });
  const problem = [operand(a, M, stepA, layout[0] === "n"), operand(b, N, stepB, layout[1] === "t"), written(y), 0, 0, M, N, K] as const;
  const grid = [2 * Math.min(Math.floor(cuda.chip.multiprocessors / 2), pairsOf(product))] as const;
  if (residual !== 0 && layout === "nt") {
    return cuda.launch(forwardResidual, { grid, block: 384, shared: forwardResidualSharedBytes }, ...problem, written(residual));
  }
  const kernel = residual === 0 ? plain[`${layout} ${result}`]! : weightGradientAdd;
  return cuda.launch(kernel, { grid, block: 384, shared: sharedBytes }, ...problem);
}

import { bytesPerElement, type Handle } from "@danu/tensor";

import type { CudaDevice } from "../device.ts";
import { defineKernel } from "../kernel.ts";
import type { TensorMap } from "../tensor-map.ts";

/** `y = scaleA · scaleB · a · bᵀ` of fp8 matrices, both along k. */
export interface Fp8Product {
  readonly y: Handle;
  /** `[M, K]` e4m3, or e5m2 in gradients. */
  readonly a: Handle;
  /** `[N, K]` e4m3 */
  readonly b: Handle;
  /** Factors of the product, f32 `[1]` each. */
  readonly scaleA: Handle;
  readonly scaleB: Handle;
  readonly M: number;
  readonly N: number;
  /** A multiple of 16. */
  readonly K: number;
}

/** What a product is for: it decides the types of a and y, and how exactly sums are kept. */
export type Fp8Use = "forward" | "inputGradient" | "weightGradient";

// Problems<1> of gemm.cuh and matmul::Product of matmul.cuh.
const problem = "((mmmppiii))";
const portable = "(ppppppllliiiiiiiif)";

const hopper = {
  forward: defineKernel("gemm", "gemm_fp8_forward", problem),
  inputGradient: defineKernel("gemm", "gemm_fp8_input_gradient", problem),
  weightGradient: defineKernel("gemm", "gemm_fp8_weight_gradient", problem),
};
const forwardResidual = defineKernel("gemm", "gemm_fp8_forward_residual", `${problem}m`);
const everywhere = {
  e4m3: defineKernel("matmul", "matmul_e4m3_nt", portable),
  e5m2: defineKernel("matmul", "matmul_e5m2_nt", portable),
};

// Pairs of tiles of 256 × 256 on Hopper, tiles of 128 × 64 elsewhere.
const PAIR = 256;
const LEAST_PAIRS = 33;
const sharedBytes = { hopper: 230_400, residual: 214_016, portable: 36_864 };

/** Enqueues a product. Forward products and gradients of inputs are bf16 `[M, N]`, gradients of weights f32.
 *  @param residual added to a forward product, bf16 `[M, N]`, 0 for none */
export function multiplyFp8(cuda: CudaDevice, use: Fp8Use, product: Fp8Product, residual: Handle = 0): void {
  const { y, M, N } = product;
  if (M * N === 0) return;
  const pairs = Math.ceil(M / PAIR) * Math.ceil(N / PAIR);
  const isAligned = [y, residual, product.a, product.b, N * bytesPerElement.bf16].every((at) => at % 16 === 0);
  if (cuda.chip.capability === 90 && pairs >= LEAST_PAIRS && isAligned && product.K > 0) multiplyHopper(cuda, use, product, residual, pairs);
  else multiplyPortable(cuda, use, product, residual);
}

function multiplyHopper(cuda: CudaDevice, use: Fp8Use, product: Fp8Product, residual: Handle, pairs: number): void {
  const { y, a, b, scaleA, scaleB, M, N, K } = product;
  const operand = (base: Handle, rows: number): TensorMap => cuda.maps.of({ base, dtype: "u8", sizes: [K, rows], strides: [K], box: [128, 128] });
  const dtype = use === "weightGradient" ? "f32" : "bf16";
  const written = (base: Handle): TensorMap => cuda.maps.of({
    base, dtype, sizes: [N, M], strides: [N * bytesPerElement[dtype]], box: [dtype === "f32" ? 32 : 64, 64],
  });
  const grid = [2 * Math.min(Math.floor(cuda.chip.multiprocessors / 2), pairs)] as const;
  const args = [operand(a, M), operand(b, N), written(y), scaleA, scaleB, M, N, K] as const;
  if (residual !== 0) return cuda.launch(forwardResidual, { grid, block: 384, shared: sharedBytes.residual }, ...args, written(residual));
  // The kernel adds to what is there, as the gradients of several micro-batches want it.
  if (use === "weightGradient") cuda.fill(y, 0, 4, M * N);
  return cuda.launch(hopper[use], { grid, block: 384, shared: sharedBytes.hopper }, ...args);
}

function multiplyPortable(cuda: CudaDevice, use: Fp8Use, product: Fp8Product, residual: Handle): void {
  const { y, a, b, scaleA, scaleB, M, N, K } = product;
  const shape = { grid: [Math.ceil(M / 128) * Math.ceil(N / 64)], block: 256, shared: sharedBytes.portable } as const;
  const kernel = everywhere[use === "forward" ? "e4m3" : "e5m2"];
  cuda.launch(kernel, shape, y, a, b, residual, scaleA, scaleB, 0, 0, 0, M, N, K, K, K, N, 1, Number(use === "weightGradient"), 1);
}

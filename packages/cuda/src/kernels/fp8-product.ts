import { bytesPerElement, type Handle } from "@danu/tensor";

import type { CudaDevice } from "../device.ts";
import { defineKernel } from "../kernel.ts";
import { gemmResidualSignature, gemmShape, gemmSignature, isForGemm, operandMap, resultMap } from "./gemm.ts";
import { portableSignature } from "./matmul-portable.ts";

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

const hopper = {
  forward: defineKernel("gemm", "gemm_fp8_forward", gemmSignature),
  inputGradient: defineKernel("gemm", "gemm_fp8_input_gradient", gemmSignature),
  weightGradient: defineKernel("gemm", "gemm_fp8_weight_gradient", gemmSignature),
};
const forwardResidual = defineKernel("gemm", "gemm_fp8_forward_residual", gemmResidualSignature);
const everywhere = {
  e4m3: defineKernel("matmul", "matmul_e4m3_nt", portableSignature),
  e5m2: defineKernel("matmul", "matmul_e5m2_nt", portableSignature),
};

const PORTABLE_SHARED_BYTES = 36_864;

/** Enqueues a product. Forward products and gradients of inputs are bf16 `[M, N]`, gradients of weights f32.
 *  @param residual added to a forward product, bf16 `[M, N]`, 0 for none */
export function multiplyFp8(cuda: CudaDevice, use: Fp8Use, product: Fp8Product, residual: Handle = 0): void {
  const { y, M, N } = product;
  if (M * N === 0) return;
  const isAligned = [y, residual, product.a, product.b, N * bytesPerElement.bf16].every((at) => at % 16 === 0);
  if (isForGemm(cuda, M, N) && isAligned && product.K > 0) multiplyHopper(cuda, use, product, residual);
  else multiplyPortable(cuda, use, product, residual);
}

function multiplyHopper(cuda: CudaDevice, use: Fp8Use, product: Fp8Product, residual: Handle): void {
  const { y, a, b, scaleA, scaleB, M, N, K } = product;
  const result = use === "weightGradient" ? "f32" : "bf16";
  const problem = [
    operandMap(cuda, a, "u8", M, K, K, true), operandMap(cuda, b, "u8", N, K, K, true), resultMap(cuda, y, result, M, N), scaleA, scaleB, M, N, K,
  ] as const;
  const shape = gemmShape(cuda, M, N, residual !== 0);
  if (residual !== 0) return cuda.launch(forwardResidual, shape, ...problem, resultMap(cuda, residual, "bf16", M, N));
  // The kernel adds to what is there, as the gradients of several micro-batches want it.
  if (use === "weightGradient") cuda.fill(y, 0, 4, M * N);
  return cuda.launch(hopper[use], shape, ...problem);
}

function multiplyPortable(cuda: CudaDevice, use: Fp8Use, product: Fp8Product, residual: Handle): void {
  const { y, a, b, scaleA, scaleB, M, N, K } = product;
  const shape = { grid: [Math.ceil(M / 128) * Math.ceil(N / 64)], block: 256, shared: PORTABLE_SHARED_BYTES } as const;
  const kernel = everywhere[use === "forward" ? "e4m3" : "e5m2"];
  cuda.launch(kernel, shape, y, a, b, residual, scaleA, scaleB, 0, 0, 0, M, N, K, K, K, N, 1, Number(use === "weightGradient"), 1);
}

import { bytesPerElement, type Handle } from "@danu/tensor";

import type { CudaDevice } from "../../device.ts";
import { defineKernel, type ArgumentsOf } from "../../kernel.ts";
import { gemmResidualSignature, gemmShape, gemmSignature, isForGemm, operandMap, resultMap } from "../products/gemm.ts";
import { multiplyCublasLt, type CublasLtProduct } from "../products/matmul-cublaslt.ts";
import { portableSignature } from "../products/matmul-portable.ts";

/** `y = scaleA · scaleB · a · bᵀ` of fp8 matrices, both along k. */
export interface Fp8Product {
  /** `[M, N]` bf16, or f32 in gradients of weights. */
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
  readonly K: number;
  /** Elements from one row of a matrix to the next, where it is part of a wider one. */
  readonly stepA?: number;
  readonly stepB?: number;
  readonly stepY?: number;
}

/** What a product is for: it decides the types of a and y, and how exactly sums are kept. */
export type Fp8Use = "forward" | "inputGradient" | "weightGradient";

const hopper = {
  forward: defineKernel("gemm", "gemm_fp8_forward", gemmSignature),
  inputGradient: defineKernel("gemm", "gemm_fp8_input_gradient", gemmSignature),
  weightGradient: defineKernel("gemm", "gemm_fp8_weight_gradient", gemmSignature),
};
const forwardResidual = defineKernel("gemm", "gemm_fp8_forward_residual", gemmResidualSignature);
const weightGradients = defineKernel("gemm", "gemm_fp8_weight_gradients", "((mmmppiii)(mmmppiii)(mmmppiii))");
const everywhere = {
  e4m3: defineKernel("matmul", "matmul_e4m3_nt", portableSignature),
  e5m2: defineKernel("matmul", "matmul_e5m2_nt", portableSignature),
};

const PORTABLE_SHARED_BYTES = 36_864;
/** Products that `gemm_fp8_weight_gradients` takes. */
const GROUP = 3;

/** Enqueues a product.
 *  @param residual added to a forward product, bf16 laid out as y, 0 for none */
export function multiplyFp8(cuda: CudaDevice, use: Fp8Use, product: Fp8Product, residual: Handle = 0): void {
  if (product.M * product.N === 0) return;
  if (isForGemm(cuda, product) && isAligned(use, product, residual)) multiplyHopper(cuda, use, product, residual);
  else if (!isForCublasLt(cuda, use, product, residual) || !multiplyCublasLt(cuda, asCublasLt(use, product, residual))) {
    multiplyPortable(cuda, use, product, residual);
  }
}

function multiplyHopper(cuda: CudaDevice, use: Fp8Use, product: Fp8Product, residual: Handle): void {
  const shape = gemmShape(cuda, residual !== 0, product);
  if (residual === 0) return cuda.launch(hopper[use], shape, ...problemOf(cuda, use, product));
  const { M, N, stepY = N } = product;
  return cuda.launch(forwardResidual, shape, ...problemOf(cuda, use, product), resultMap(cuda, residual, "bf16", M, N, stepY));
}

/** Enqueues gradients of weights. Those of a launch fill the last wave of the GPU together, the largest first, so that it is one
 *  of small products. */
export function multiplyFp8Group(cuda: CudaDevice, products: readonly Fp8Product[]): void {
  const sorted = products.filter(({ M, N }) => M * N > 0).sort((x, y) => y.M * y.N * y.K - x.M * x.N * x.K);
  for (let at = 0; at < sorted.length; at += GROUP) {
    const group = sorted.slice(at, at + GROUP);
    const isOneLaunch = group.length > 1 && isForGemm(cuda, ...group) && group.every((product) => isAligned("weightGradient", product, 0));
    if (!isOneLaunch) {
      for (const product of group) multiplyFp8(cuda, "weightGradient", product);
      continue;
    }
    const [first, second, third] = group.map((product) => problemOf(cuda, "weightGradient", product));
    cuda.launch(weightGradients, gemmShape(cuda, false, ...group), ...first!, ...second!, ...(third ?? emptyLike(first!)));
  }
}

/** Whether all rows start at multiples of 16 bytes, as the copy engine and cuBLASLt ask. */
function isAligned(use: Fp8Use, { y, a, b, N, K, stepA = K, stepB = K, stepY = N }: Fp8Product, residual: Handle): boolean {
  return K > 0 && [y, a, b, residual, stepA, stepB, stepY * bytesPerElement[resultOf(use)]].every((at) => at % 16 === 0);
}

function resultOf(use: Fp8Use): "bf16" | "f32" {
  return use === "weightGradient" ? "f32" : "bf16";
}

type Problem = ArgumentsOf<typeof gemmSignature>;

function problemOf(cuda: CudaDevice, use: Fp8Use, product: Fp8Product): Problem {
  const { y, a, b, scaleA, scaleB, M, N, K, stepA = K, stepB = K, stepY = N } = product;
  return [
    operandMap(cuda, a, "u8", M, K, stepA, true), operandMap(cuda, b, "u8", N, K, stepB, true), resultMap(cuda, y, resultOf(use), M, N, stepY),
    scaleA, scaleB, M, N, K,
  ];
}

/** Whether a product may be one of cuBLASLt, whose tensor cores for fp8 came with Ada. */
function isForCublasLt({ chip }: CudaDevice, use: Fp8Use, product: Fp8Product, residual: Handle): boolean {
  return chip.capability >= 89 && isAligned(use, product, residual) && product.N % 16 === 0 && product.K % 16 === 0;
}

function asCublasLt(use: Fp8Use, product: Fp8Product, residual: Handle): CublasLtProduct {
  const { N, K, stepA = K, stepB = K, stepY = N } = product;
  return {
    ...product, residual, layout: "nt", count: 1, steps: [0, 0],
    types: { a: use === "forward" ? "f8e4m3" : "f8e5m2", b: "f8e4m3", y: resultOf(use) }, rowSteps: { a: stepA, b: stepB, y: stepY },
    // Sums of gradients are long: there every bit counts.
    fastAccumulation: use === "forward",
  };
}

/** A product without tiles, whose maps nothing reads. */
function emptyLike([a, b, y]: Problem): Problem {
  return [a, b, y, 0, 0, 0, 0, 0];
}

function multiplyPortable(cuda: CudaDevice, use: Fp8Use, product: Fp8Product, residual: Handle): void {
  const { y, a, b, scaleA, scaleB, M, N, K, stepA = K, stepB = K, stepY = N } = product;
  const shape = { grid: [Math.ceil(M / 128) * Math.ceil(N / 64)], block: 256, shared: PORTABLE_SHARED_BYTES } as const;
  const kernel = everywhere[use === "forward" ? "e4m3" : "e5m2"];
  cuda.launch(kernel, shape, y, a, b, residual, scaleA, scaleB, 0, 0, 0, M, N, K, stepA, stepB, stepY, 1, Number(resultOf(use) === "f32"), 1);
}

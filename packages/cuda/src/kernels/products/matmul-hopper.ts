import { bytesPerElement } from "@danu/tensor";

import type { CudaDevice } from "../../device.ts";
import { defineKernel, type Kernel } from "../../kernel.ts";
import { gemmResidualSignature, gemmShape, gemmSignature, isForGemm, operandMap, resultMap } from "./gemm.ts";
import { rowStepsOf, type Product } from "./product.ts";

/** Kernels that add a residual in bf16, by layout. */
const withResidual: Readonly<Partial<Record<string, Kernel<typeof gemmResidualSignature>>>> = {
  nt: defineKernel("gemm", "gemm_bf16_forward_residual", gemmResidualSignature),
  nn: defineKernel("gemm", "gemm_bf16_input_gradient_residual", gemmResidualSignature),
};
const weightGradientAdd = defineKernel("gemm", "gemm_bf16_weight_gradient_add", gemmSignature);
/** Kernels without a residual, by layout and type of the result. */
const plain: Readonly<Partial<Record<string, Kernel<typeof gemmSignature>>>> = {
  "nt bf16": defineKernel("gemm", "gemm_bf16_forward", gemmSignature),
  "nt f32": defineKernel("gemm", "gemm_bf16_forward_f32", gemmSignature),
  "nn bf16": defineKernel("gemm", "gemm_bf16_input_gradient", gemmSignature),
  "tn f32": defineKernel("gemm", "gemm_bf16_weight_gradient", gemmSignature),
};

/** Whether there is a kernel: a residual is added to what is made in bf16, and to gradients of weights where they are. */
function isKnown({ y, residual, layout, result }: Product): boolean {
  const known = `${layout} ${result}`;
  if (residual === 0) return plain[known] !== undefined;
  return result === "bf16" ? withResidual[layout] !== undefined : known === "tn f32" && residual === y;
}

/** Whether the kernels for Hopper serve: large products of bf16 whose rows the copy engine can read, on the one chip that has
 *  their instructions. */
export function isForHopper(cuda: CudaDevice, product: Product): boolean {
  const { y, a, b, residual, dtype, result, N, K, count } = product;
  if (!isForGemm(cuda, product) || dtype !== "bf16" || count !== 1 || K === 0 || !isKnown(product)) return false;
  const rows = [...rowStepsOf(product).map((step) => step * bytesPerElement.bf16), N * bytesPerElement[result]];
  return [y, a, b, residual, ...rows].every((at) => at % 16 === 0);
}

/** Enqueues a product by the kernels for Hopper. */
export function multiplyHopper(cuda: CudaDevice, product: Product): void {
  const { y, a, b, residual, M, N, K, layout } = product;
  const [stepA, stepB] = rowStepsOf(product);
  const result = product.result === "f32" ? "f32" : "bf16";
  const problem = [
    operandMap(cuda, a, "bf16", M, K, stepA, layout[0] === "n"), operandMap(cuda, b, "bf16", N, K, stepB, layout[1] === "t"),
    resultMap(cuda, y, result, M, N, N), 0, 0, M, N, K,
  ] as const;
  if (residual !== 0 && result === "bf16") {
    return cuda.launch(withResidual[layout]!, gemmShape(cuda, true, product), ...problem, resultMap(cuda, residual, "bf16", M, N, N));
  }
  const kernel = residual === 0 ? plain[`${layout} ${result}`]! : weightGradientAdd;
  return cuda.launch(kernel, gemmShape(cuda, false, product), ...problem);
}

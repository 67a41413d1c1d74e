import {
  bytesPerElement, matmulBatches,
  type DType, type Handle, type KernelOf, type linearInputGradOp, type linearOp, type matmulOp, type Tensor,
} from "@danu/tensor";

import { codeOf, cpuOf, type CpuDevice } from "../device.ts";

/** Whether GEMM reads or writes a type itself; the others pass through f32 copies. */
function isNative(dtype: DType): boolean {
  return dtype === "f32" || dtype === "bf16";
}

/** Runs `f` with the tensor's elements in a type that GEMM takes. */
function withOperand(cpu: CpuDevice, x: Tensor, f: (handle: Handle, dtype: DType) => void): void {
  if (isNative(x.dtype)) return f(x.handle, x.dtype);
  const wide = cpu.allocate(x.size * bytesPerElement.f32);
  cpu.check("cast", cpu.library.cast(cpu.queue, wide, x.handle, x.size, codeOf(x.dtype), codeOf("f32")));
  f(wide, "f32");
  return cpu.free(wide);
}

/** Runs `f` with memory of a type that GEMM writes, and rounds it to the tensor's type. */
function withResult(cpu: CpuDevice, y: Tensor, f: (handle: Handle, dtype: DType) => void): void {
  if (isNative(y.dtype)) return f(y.handle, y.dtype);
  const wide = cpu.allocate(y.size * bytesPerElement.f32);
  f(wide, "f32");
  cpu.check("cast", cpu.library.cast(cpu.queue, y.handle, wide, y.size, codeOf("f32"), codeOf(y.dtype)));
  return cpu.free(wide);
}

export const matmulKernel: KernelOf<typeof matmulOp> = ([y], [a, b], { transposeA, transposeB }) => {
  const cpu = cpuOf(y);
  const [M, N] = y.shape.slice(-2) as [number, number];
  const K = a.shape.at(transposeA ? -2 : -1)!;
  withOperand(cpu, a, (left, dtype) => withOperand(cpu, b, (right) => withResult(cpu, y, (result, resultDtype) => {
    for (const { count, first, steps } of matmulBatches(y, a, b)) {
      const address = (base: Handle, elements: number, size: number, type: DType): Handle => base + elements * size * bytesPerElement[type];
      cpu.check("matmul", cpu.library.gemmBatched(
        cpu.queue, address(result, first[0], M * N, resultDtype), address(left, first[1], M * K, dtype), address(right, first[2], K * N, dtype), 0,
        M, N, K, transposeA ? M : K, transposeB ? K : N, N, 0, Number(transposeA), Number(transposeB),
        codeOf(dtype), codeOf(resultDtype), 0, 1, count, steps[0] * M * K, steps[1] * K * N, M * N, 0,
      ));
    }
  })));
};

/** `y = a · op(b) (+ residual)` of dense matrices of one type that GEMM takes itself. @param N columns of y  @param K columns of a */
function product(y: Tensor, a: Tensor, b: Tensor, residual: Tensor | null, [N, K]: readonly [number, number], transposeB: boolean): void {
  const cpu = cpuOf(y);
  const rows = K === 0 ? y.size / Math.max(N, 1) : a.size / K;
  const dtype = codeOf(a.dtype);
  cpu.check("linear", cpu.library.gemm(
    cpu.queue, y.handle, a.handle, b.handle, residual?.handle ?? 0, rows, N, K, K, transposeB ? K : N, N, N, 0, Number(transposeB), dtype, dtype, 0, 1,
  ));
}

/** `y = x · weightᵀ (+ residual)` in one product; other types than f32 and bf16 are left to the decomposition. */
export const linearKernel: KernelOf<typeof linearOp> = ([y], [x, weight, residual]) => {
  const [O, C] = weight.shape as [number, number];
  product(y, x, weight, residual, [O, C], true);
};

/** `dx = g · weight (+ residual)` in one product. */
export const linearInputGradKernel: KernelOf<typeof linearInputGradOp> = ([dx], [g, weight, residual]) => {
  const [O, C] = weight.shape as [number, number];
  product(dx, g, weight, residual, [C, O], false);
};

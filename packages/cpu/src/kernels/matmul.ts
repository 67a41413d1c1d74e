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

/** `y = x · weightᵀ (+ residual)` in one product; other types than f32 and bf16 are left to the decomposition. */
export const linearKernel: KernelOf<typeof linearOp> = ([y], [x, weight, residual]) => {
  const cpu = cpuOf(y);
  const [O, C] = weight.shape as [number, number];
  const rows = C === 0 ? y.size / Math.max(O, 1) : x.size / C;
  const dtype = codeOf(x.dtype);
  cpu.check("linear", cpu.library.gemm(
    cpu.queue, y.handle, x.handle, weight.handle, residual?.handle ?? 0, rows, O, C, C, C, O, O, 0, 1, dtype, dtype, 0, 1,
  ));
};

/** `dx = g · weight (+ residual)` in one product. */
export const linearInputGradKernel: KernelOf<typeof linearInputGradOp> = ([dx], [g, weight, residual]) => {
  const cpu = cpuOf(dx);
  const [O, C] = weight.shape as [number, number];
  const rows = O === 0 ? dx.size / Math.max(C, 1) : g.size / O;
  const dtype = codeOf(g.dtype);
  cpu.check("linearInputGrad", cpu.library.gemm(
    cpu.queue, dx.handle, g.handle, weight.handle, residual?.handle ?? 0, rows, C, O, O, C, C, C, 0, 0, dtype, dtype, 0, 1,
  ));
};

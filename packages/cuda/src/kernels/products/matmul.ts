import { bytesPerElement, matmulBatches, type DType, type Handle, type KernelOf, type linearInputGradOp, type linearOp, type matmulOp, type Tensor } from "@danu/tensor";

import { cudaOf, type CudaDevice } from "../../device.ts";
import { isFewRows, multiplyFewRows } from "../generation/few-rows.ts";
import { convert } from "../primitives/cast.ts";
import { multiplyCublasLt, withoutFactors } from "./matmul-cublaslt.ts";
import { isForHopper, multiplyHopper } from "./matmul-hopper.ts";
import { multiplyPortable } from "./matmul-portable.ts";
import { layoutOf, type Operand, type Product } from "./product.ts";

/** Whether products take a type as it is. */
export function isOperand(dtype: DType): dtype is Operand {
  return dtype === "f32" || dtype === "bf16" || dtype === "f16";
}

/** Runs `f` with the tensor's elements in a type that products take: f16 holds every 8-bit float exactly. */
function withOperand(x: Tensor, f: (handle: Handle, dtype: Operand) => void): void {
  if (isOperand(x.dtype)) return f(x.handle, x.dtype);
  const cuda = cudaOf(x);
  return cuda.withScratch(x.size * bytesPerElement.f16, (copy) => {
    convert(cuda, copy, "f16", x.handle, x.dtype, x.size);
    f(copy, "f16");
  });
}

/** Runs `f` with memory of a type that products of `dtype` write, and rounds it to the tensor's type. */
function withResult(y: Tensor, dtype: Operand, f: (handle: Handle, dtype: Operand) => void): void {
  if (y.dtype === "f32" || y.dtype === dtype) return f(y.handle, y.dtype);
  const cuda = cudaOf(y);
  return cuda.withScratch(y.size * bytesPerElement.f32, (wide) => {
    f(wide, "f32");
    convert(cuda, y.handle, y.dtype, wide, "f32", y.size);
  });
}

/** Enqueues products by the kernels that are fastest for them. */
export function multiply(cuda: CudaDevice, product: Product): void {
  const { M, N, count, steps, layout, rowStepA } = product;
  if (M * N * count === 0) return;
  // Many matrices times the same one are one tall matrix times it.
  const folded: Product = count > 1 && layout[0] === "n" && rowStepA === undefined && steps[0] === 1 && steps[1] === 0
    ? { ...product, M: count * M, count: 1, steps: [0, 0] }
    : product;
  const isFew = isFewRows(cuda, folded);
  if (!isFew && isForHopper(cuda, folded)) multiplyHopper(cuda, folded);
  else if (!multiplyCublasLt(cuda, withoutFactors(folded))) (isFew ? multiplyFewRows : multiplyPortable)(cuda, folded);
}

export const matmulKernel: KernelOf<typeof matmulOp> = ([y], [a, b], { transposeA, transposeB }) => {
  const [M, N] = y.shape.slice(-2) as [number, number];
  const K = a.shape.at(transposeA ? -2 : -1)!;
  const layout = layoutOf(M, N, transposeA, transposeB);
  withOperand(a, (left, dtype) => withOperand(b, (right) => withResult(y, dtype, (to, result) => {
    const address = (base: Handle, elements: number, type: Operand): Handle => base + elements * bytesPerElement[type];
    for (const { count, first, steps } of matmulBatches(y, a, b)) {
      multiply(cudaOf(y), {
        y: address(to, first[0] * M * N, result), a: address(left, first[1] * M * K, dtype), b: address(right, first[2] * K * N, dtype),
        residual: 0, dtype, result, M, N, K, layout, count, steps,
      });
    }
  })));
};

/** `y = x · weightᵀ (+ residual)` in one product, of the types that products take. */
export const linearKernel: KernelOf<typeof linearOp> = ([y], [x, weight, residual]) => {
  const [N, K] = weight.shape as [number, number];
  const dtype = x.dtype as Operand;
  multiply(cudaOf(y), {
    y: y.handle, a: x.handle, b: weight.handle, residual: residual?.handle ?? 0, dtype, result: dtype,
    M: y.size / Math.max(N, 1), N, K, layout: "nt", count: 1, steps: [0, 0],
  });
};

/** `dx = g · weight (+ residual)` in one product, of the types that products take. */
export const linearInputGradKernel: KernelOf<typeof linearInputGradOp> = ([dx], [g, weight, residual]) => {
  const [K, N] = weight.shape as [number, number];
  const dtype = g.dtype as Operand;
  const M = dx.size / Math.max(N, 1);
  multiply(cudaOf(dx), {
    y: dx.handle, a: g.handle, b: weight.handle, residual: residual?.handle ?? 0, dtype, result: dtype,
    M, N, K, layout: layoutOf(M, N, false, false), count: 1, steps: [0, 0],
  });
};

import type { Handle } from "@danu/tensor";

import type { ColumnMajor } from "../../cublaslt/description.ts";
import type { CudaDevice } from "../../device.ts";
import { rowStepsOf, type Layout, type Product } from "./product.ts";

/** Products `y = scaleA · scaleB · op(a) · op(b) + residual` as cuBLASLt may do them: every matrix has a type and rows of its own. */
export interface CublasLtProduct extends Pick<Product, "y" | "a" | "b" | "residual" | "M" | "N" | "K" | "layout" | "count" | "steps"> {
  readonly types: Readonly<Record<"a" | "b" | "y", ColumnMajor["type"]>>;
  /** Elements from one row, as it is stored, to the next. */
  readonly rowSteps: Readonly<Record<"a" | "b" | "y", number>>;
  /** Factors of fp8 matrices, f32 `[1]`; 0 for matrices without. */
  readonly scaleA: Handle;
  readonly scaleB: Handle;
  /** Whether sums of fp8 products may stay in the tensor cores, where they lose bits. */
  readonly fastAccumulation: boolean;
}

/** Enqueues products by cuBLASLt.
 *  @returns false, with nothing enqueued, where it has no way to do them or the device was opened without it */
export function multiplyCublasLt(cuda: CudaDevice, product: CublasLtProduct): boolean {
  const { y, a, b, residual, types, rowSteps, scaleA, scaleB, M, N, K, layout, count, steps, fastAccumulation } = product;
  if (K === 0) return false;
  const [transposeA, transposeB] = isTransposed(layout);
  return cuda.cublasLtMatmul({
    // What is stored by rows is, by columns, its transposed: yᵀ = op(b)ᵀ · op(a)ᵀ.
    A: byColumns(types.b, transposeB ? [N, K] : [K, N], rowSteps.b, steps[1] * K * N),
    B: byColumns(types.a, transposeA ? [K, M] : [M, K], rowSteps.a, steps[0] * M * K),
    D: byColumns(types.y, [M, N], rowSteps.y, M * N),
    transposeA: transposeB, transposeB: transposeA, count, fastAccumulation,
    operands: { A: b, B: a, C: residual, D: y, scaleA: scaleB, scaleB: scaleA },
  });
}

/** A product of matrices without factors as cuBLASLt may do it. */
export function withoutFactors(product: Product): CublasLtProduct {
  const { dtype, result, N } = product;
  const [stepA, stepB] = rowStepsOf(product);
  return { ...product, types: { a: dtype, b: dtype, y: result }, rowSteps: { a: stepA, b: stepB, y: N }, scaleA: 0, scaleB: 0, fastAccumulation: false };
}

function isTransposed(layout: Layout): readonly [a: boolean, b: boolean] {
  return [layout[0] === "t", layout[1] === "t"];
}

function byColumns(type: ColumnMajor["type"], [rows, columns]: readonly [number, number], step: number, stride: number): ColumnMajor {
  return { type, rows: columns, columns: rows, step, stride };
}

import type { DType } from "../dtype.ts";
import { isFloat } from "../dtype.ts";
import { DTypeError, ShapeError } from "../errors.ts";
import { defineOp, run, type Op } from "../op.ts";
import { broadcastShapes, formatShape } from "../shape.ts";
import type { Tensor } from "../tensor.ts";
import { cast } from "./cast.ts";

/** How the last two axes are read, and the type of the result. */
export interface MatmulAttrs {
  readonly transposeA: boolean;
  readonly transposeB: boolean;
  readonly dtype: DType;
}

export const matmulOp: Op<readonly [Tensor, Tensor], readonly [Tensor], MatmulAttrs> = defineOp({
  name: "matmul",
  infer: ([a, b], { transposeA, transposeB, dtype }) => {
    if (a.shape.length < 2 || b.shape.length < 2) {
      throw new ShapeError(`matmul: expected at least two axes, got ${formatShape(a.shape)} x ${formatShape(b.shape)}`);
    }
    if (a.dtype !== b.dtype || !isFloat(a.dtype) || !isFloat(dtype)) {
      throw new DTypeError(`matmul: expected two operands of one float type, got ${a.dtype} and ${b.dtype}`);
    }
    const [m, ka] = matrixOf(a, transposeA);
    const [kb, n] = matrixOf(b, transposeB);
    if (ka !== kb) throw new ShapeError(`matmul: inner dims differ: ${formatShape(a.shape)} x ${formatShape(b.shape)}`);
    const batch = broadcastShapes("matmul", a.shape.slice(0, -2), b.shape.slice(0, -2));
    return [{ shape: [...batch, m, n], dtype }];
  },
  vjp: ([g], [a, b], _, { transposeA, transposeB }, [needsA, needsB]) => {
    if (g === null) return [null, null];
    const h = cast(g, a.dtype);
    const toA = (): Tensor => (transposeA
      ? matmul(b, h, { transposeA: transposeB, transposeB: true })
      : matmul(h, b, { transposeB: !transposeB }));
    const toB = (): Tensor => (transposeB
      ? matmul(h, a, { transposeA: true, transposeB: transposeA })
      : matmul(a, h, { transposeA: !transposeA }));
    return [needsA ? toA() : null, needsB ? toB() : null];
  },
  decompose: null,
});

function matrixOf(x: Tensor, transposed: boolean): [rows: number, columns: number] {
  const [rows, columns] = x.shape.slice(-2) as [number, number];
  return transposed ? [columns, rows] : [rows, columns];
}

/** Matrix product over the last two axes, other axes broadcasting; products accumulate in f32 whatever the operands.
 *  @param a `[..., M, K]`, or `[..., K, M]` with `transposeA`
 *  @param b `[..., K, N]`, or `[..., N, K]` with `transposeB`
 *  @returns `[..., M, N]`, in the operands' dtype unless `dtype` says otherwise
 *  @throws ShapeError when the inner sizes differ, DTypeError when the types do */
export function matmul(a: Tensor, b: Tensor, options: Partial<MatmulAttrs> = {}): Tensor {
  const { transposeA = false, transposeB = false, dtype = a.dtype } = options;
  return run(matmulOp, [a, b], { transposeA, transposeB, dtype })[0];
}

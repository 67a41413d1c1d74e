import { isFloat } from "../dtype.ts";
import { DTypeError, ShapeError } from "../errors.ts";
import { defineOp, run, type Op } from "../op.ts";
import { formatShape, sameShape, sizeOf } from "../shape.ts";
import type { Tensor } from "../tensor.ts";
import { add } from "./add.ts";
import { cast } from "./cast.ts";
import { matmul } from "./matmul.ts";
import { reshape } from "./reshape.ts";

type LinearInputs = readonly [x: Tensor, weight: Tensor, residual: Tensor | null];

export const linearOp: Op<LinearInputs, readonly [Tensor], null> = defineOp({
  name: "linear",
  infer: ([x, weight, residual]) => {
    const C = x.shape.at(-1);
    if (weight.shape.length !== 2 || C === undefined || weight.shape[1] !== C) {
      throw new ShapeError(`linear: inner dims differ: ${formatShape(x.shape)} x ${formatShape(weight.shape)}ᵀ`);
    }
    const shape = [...x.shape.slice(0, -1), weight.shape[0]!];
    if (residual !== null && !sameShape(residual.shape, shape)) {
      throw new ShapeError(`linear: expected a residual ${formatShape(shape)}, got ${formatShape(residual.shape)}`);
    }
    if (!isFloat(x.dtype) || weight.dtype !== x.dtype || (residual !== null && residual.dtype !== x.dtype)) {
      throw new DTypeError(`linear: expected one float dtype, got ${x.dtype}, ${weight.dtype}${residual === null ? "" : ` and ${residual.dtype}`}`);
    }
    return [{ shape, dtype: x.dtype }];
  },
  vjp: ([g], [x, weight, residual], _, __, [needsX, needsWeight], { arrived }) => {
    if (g === null) return [null, null, null];
    const rows = reshape(g, [rowsOf(x), weight.shape[0]!]);
    const dx = needsX ? run(linearInputGradOp, [g, weight, arrived], null)[0] : null;
    const flat = reshape(x, [rowsOf(x), weight.shape[1]!]);
    const dWeight = needsWeight ? matmul(rows, flat, { transposeA: true, dtype: "f32" }) : null;
    return [dx, dWeight, residual && g];
  },
  decompose: ([x, weight, residual]) => {
    const rows = reshape(x, [rowsOf(x), weight.shape[1]!]);
    const shape = [...x.shape.slice(0, -1), weight.shape[0]!];
    if (residual === null) return [reshape(matmul(rows, weight, { transposeB: true }), shape)];
    const y = reshape(matmul(rows, weight, { transposeB: true, dtype: "f32" }), shape);
    return [cast(add(y, cast(residual, "f32")), x.dtype)];
  },
  saves: { inputs: [0, 1], outputs: [] },
  completes: 0,
});

/** Gradient of the input of `linear`, with another gradient of it added in f32: `g · weight (+ residual)`. */
export const linearInputGradOp: Op<readonly [g: Tensor, weight: Tensor, residual: Tensor | null], readonly [Tensor], null> = defineOp({
  name: "linearInputGrad",
  infer: ([g, weight]) => [{ shape: [...g.shape.slice(0, -1), weight.shape[1]!], dtype: g.dtype }],
  vjp: null,
  decompose: ([g, weight, residual]) => {
    const rows = reshape(g, [rowsOf(g), weight.shape[0]!]);
    const shape = [...g.shape.slice(0, -1), weight.shape[1]!];
    if (residual === null) return [reshape(matmul(rows, weight), shape)];
    return [cast(add(reshape(matmul(rows, weight, { dtype: "f32" }), shape), cast(residual, "f32")), g.dtype)];
  },
});

/** Number of rows of `[..., C]`, which stays defined where C is 0. */
function rowsOf(x: Tensor): number {
  return sizeOf(x.shape.slice(0, -1));
}

/** A linear layer without bias: `y = x · weightᵀ (+ residual)`. The gradient of the weight is f32 whatever its dtype.
 *  @param x `[..., C]`  @param weight `[O, C]`  @param residual `[..., O]`, added to the product in f32
 *  @returns `[..., O]`, dtype of x  @throws ShapeError when sizes do not fit, DTypeError when types differ */
export function linear(x: Tensor, weight: Tensor, residual: Tensor | null = null): Tensor {
  return run(linearOp, [x, weight, residual], null)[0];
}

import type { DType } from "../dtype.ts";
import { isFloat } from "../dtype.ts";
import { defineOp, run, type Op } from "../op.ts";
import type { Tensor } from "../tensor.ts";

export const castOp: Op<readonly [Tensor], readonly [Tensor], { readonly dtype: DType }> = defineOp({
  name: "cast",
  infer: ([x], { dtype }) => [{ shape: x.shape, dtype }],
  vjp: ([g], [x]) => [g && isFloat(x.dtype) ? cast(g, x.dtype) : null],
  decompose: null,
  saves: { inputs: [], outputs: [] },
});

/** The same values in another element type: floats round to nearest, ties to even; floats to integers truncate toward
 *  zero and saturate, NaN becomes 0. Returns `x` itself where nothing changes. */
export function cast(x: Tensor, dtype: DType): Tensor {
  return x.dtype === dtype ? x : run(castOp, [x], { dtype })[0];
}

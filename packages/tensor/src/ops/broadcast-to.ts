import { ShapeError } from "../errors.ts";
import { defineOp, run, type Op } from "../op.ts";
import { broadcastShapes, formatShape, sameShape, type Shape } from "../shape.ts";
import type { Tensor } from "../tensor.ts";

export const broadcastToOp: Op<readonly [Tensor], readonly [Tensor], { readonly shape: Shape }> = defineOp({
  name: "broadcastTo",
  infer: ([x], { shape }) => {
    if (!sameShape(broadcastShapes("broadcastTo", x.shape, shape), shape)) {
      throw new ShapeError(`broadcastTo: ${formatShape(x.shape)} does not stretch to ${formatShape(shape)}`);
    }
    return [{ shape, dtype: x.dtype }];
  },
  // The sum back to the shape of x is done centrally, for every op alike.
  vjp: ([g]) => [g],
  decompose: null,
  saves: { inputs: [], outputs: [] },
});

/** Repeats axes of size 1, and missing leading axes, to fill `shape`. */
export function broadcastTo(x: Tensor, shape: Shape): Tensor {
  return sameShape(x.shape, shape) ? x : run(broadcastToOp, [x], { shape })[0];
}

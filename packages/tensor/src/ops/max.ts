import { defineOp, run, type Op } from "../op.ts";
import type { Tensor } from "../tensor.ts";
import { cast } from "./cast.ts";
import { div } from "./div.ts";
import { equal } from "./equal.ts";
import { mul } from "./mul.ts";
import { reduceAxes, reducedShape, type ReduceAttrs, type ReduceOptions } from "./reduce.ts";
import { reshape } from "./reshape.ts";
import { sum } from "./sum.ts";

export const maxOp: Op<readonly [Tensor], readonly [Tensor], ReduceAttrs> = defineOp({
  name: "max",
  infer: ([x], { axis }) => [{ shape: reducedShape(x, axis), dtype: x.dtype }],
  vjp: ([g], [x], [y], { axis }) => {
    if (g === null) return [null];
    const winners = cast(equal(x, y), g.dtype);
    return [mul(div(g, sum(winners, { axis, keepDims: true })), winners)];
  },
  decompose: null,
  saves: { inputs: [0], outputs: [0] },
});

/** Largest element along axes; NaN if one is there, −∞ for none. Equal winners share the gradient. */
export function max(x: Tensor, options: ReduceOptions = {}): Tensor {
  return reduceAxes("max", x, options, (y, axis) => run(maxOp, [y], { axis })[0], reshape);
}

import { defineOp, run, type Op } from "../op.ts";
import { resolveAxis } from "../shape.ts";
import type { Tensor } from "../tensor.ts";
import type { ReduceAttrs } from "./reduce.ts";

export const argmaxOp: Op<readonly [Tensor], readonly [Tensor], ReduceAttrs> = defineOp({
  name: "argmax",
  infer: ([x], { axis }) => [{ shape: x.shape.filter((_, i) => i !== axis), dtype: "i32" }],
  vjp: null,
  decompose: null,
});

/** Index of the largest element along one axis, the first of equals, as i32; NaN counts as largest. */
export function argmax(x: Tensor, axis = -1): Tensor {
  return run(argmaxOp, [x], { axis: resolveAxis("argmax", axis, x.shape.length) })[0];
}

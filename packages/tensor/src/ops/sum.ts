import { defineOp, run, type Op } from "../op.ts";
import type { Shape } from "../shape.ts";
import type { Tensor } from "../tensor.ts";
import { broadcastTo } from "./broadcast-to.ts";
import { div } from "./div.ts";
import { reduceAxes, reducedShape, type ReduceAttrs, type ReduceOptions } from "./reduce.ts";
import { reshape } from "./reshape.ts";

export const sumOp: Op<readonly [Tensor], readonly [Tensor], ReduceAttrs> = defineOp({
  name: "sum",
  infer: ([x], { axis }) => [{ shape: reducedShape(x, axis), dtype: x.dtype }],
  vjp: ([g], [x]) => [g && broadcastTo(g, x.shape)],
  decompose: null,
  saves: { inputs: [], outputs: [] },
});

/** Sum along axes, accumulated in f32 or better in a fixed order. */
export function sum(x: Tensor, options: ReduceOptions = {}): Tensor {
  return reduceAxes("sum", x, options, (y, axis) => run(sumOp, [y], { axis })[0], reshape);
}

/** Arithmetic mean along axes. */
export function mean(x: Tensor, options: ReduceOptions = {}): Tensor {
  const total = sum(x, options);
  return div(total, x.size / Math.max(total.size, 1));
}

/** Sums the axes along which `shape` would have been stretched to that of `x`: the gradient of broadcasting. */
export function sumTo(x: Tensor, shape: Shape): Tensor {
  const shift = x.shape.length - shape.length;
  const axis = x.shape.flatMap((n, i) => (i < shift || (shape[i - shift] === 1 && n !== 1) ? [i] : []));
  return reshape(sum(x, { axis, keepDims: true }), shape);
}

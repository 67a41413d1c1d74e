import { resolveAxis, type Shape } from "../shape.ts";
import type { Tensor } from "../tensor.ts";

/** The axis a reduction runs along. */
export interface ReduceAttrs {
  readonly axis: number;
}

/** The shape with one axis reduced to 1. */
export function reducedShape(x: Tensor, axis: number): Shape {
  return x.shape.map((n, i) => (i === axis ? 1 : n));
}

/** A tensor seen as `[outer, reduced, inner]` around one axis. */
export function aroundAxis(shape: Shape, axis: number): { outer: number; reduced: number; inner: number } {
  let outer = 1;
  let inner = 1;
  shape.forEach((n, i) => {
    if (i < axis) outer *= n;
    else if (i > axis) inner *= n;
  });
  return { outer, reduced: shape[axis]!, inner };
}

/** Which axes to reduce, and whether they stay as axes of size 1. */
export interface ReduceOptions {
  /** One axis or several; all of them when left out. Negative axes count from the back. */
  readonly axis?: number | readonly number[];
  readonly keepDims?: boolean;
}

/** Reduces axis after axis and drops them unless they are kept. */
export function reduceAxes(
  name: string, x: Tensor, { axis, keepDims = false }: ReduceOptions,
  along: (x: Tensor, axis: number) => Tensor, reshape: (x: Tensor, shape: Shape) => Tensor,
): Tensor {
  const wanted = axis === undefined ? x.shape.map((_, i) => i) : typeof axis === "number" ? [axis] : axis;
  const axes = new Set(wanted.map((a) => resolveAxis(name, a, x.shape.length)));
  let y = x;
  for (const a of axes) y = along(y, a);
  return keepDims ? y : reshape(y, y.shape.filter((_, i) => !axes.has(i)));
}

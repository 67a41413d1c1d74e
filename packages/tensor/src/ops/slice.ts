import { ShapeError } from "../errors.ts";
import { defineOp, run, type Op } from "../op.ts";
import { formatShape, resolveAxis } from "../shape.ts";
import type { Tensor } from "../tensor.ts";

/** Elements `start` up to, not including, `end` of one axis. */
export interface SliceAttrs {
  readonly axis: number;
  readonly start: number;
  readonly end: number;
}

export const sliceOp: Op<readonly [Tensor], readonly [Tensor], SliceAttrs> = defineOp({
  name: "slice",
  infer: ([x], { axis, start, end }) => {
    const n = x.shape[axis]!;
    if (!(Number.isInteger(start) && Number.isInteger(end) && start >= 0 && start <= end && end <= n)) {
      throw new ShapeError(`slice: ${start} to ${end} is not within axis ${axis} of ${formatShape(x.shape)}`);
    }
    return [{ shape: x.shape.map((size, i) => (i === axis ? end - start : size)), dtype: x.dtype }];
  },
  vjp: ([g], [x], _, { axis, start, end }) => [g && pad(g, axis, start, x.shape[axis]! - end)],
  decompose: null,
  saves: { inputs: [], outputs: [] },
});

/** Part of one axis, as a copy. @throws ShapeError when it is not within the tensor */
export function slice(x: Tensor, axis: number, start: number, end: number): Tensor {
  return run(sliceOp, [x], { axis: resolveAxis("slice", axis, x.shape.length), start, end })[0];
}

/** Zeros put before and after one axis. */
export interface PadAttrs {
  readonly axis: number;
  readonly before: number;
  readonly after: number;
}

export const padOp: Op<readonly [Tensor], readonly [Tensor], PadAttrs> = defineOp({
  name: "pad",
  infer: ([x], { axis, before, after }) => {
    if (!(Number.isInteger(before) && Number.isInteger(after) && before >= 0 && after >= 0)) {
      throw new ShapeError(`pad: expected whole numbers of at least 0, got ${before} before and ${after} after`);
    }
    return [{ shape: x.shape.map((n, i) => (i === axis ? n + before + after : n)), dtype: x.dtype }];
  },
  vjp: ([g], [x], _, { axis, before }) => [g && slice(g, axis, before, before + x.shape[axis]!)],
  decompose: null,
  saves: { inputs: [], outputs: [] },
});

/** Surrounds one axis with zeros. @throws ShapeError when their number is negative */
export function pad(x: Tensor, axis: number, before: number, after: number): Tensor {
  return run(padOp, [x], { axis: resolveAxis("pad", axis, x.shape.length), before, after })[0];
}

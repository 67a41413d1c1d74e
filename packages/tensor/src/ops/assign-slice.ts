import { DTypeError, ShapeError } from "../errors.ts";
import { defineUpdate, runUpdate, type Update } from "../op.ts";
import { formatShape, resolveAxis } from "../shape.ts";
import type { Tensor } from "../tensor.ts";

/** Where along which axis the source goes. */
export interface AssignSliceAttrs {
  readonly axis: number;
  readonly start: number;
}

/** Primitive: overwrites part of one axis of the target. */
export const assignSliceOp: Update<readonly [target: Tensor, source: Tensor], AssignSliceAttrs> = defineUpdate({
  name: "assignSlice",
  check: ([target, source], { axis, start }) => {
    const fits = Number.isInteger(start) && target.shape.length === source.shape.length
      && source.shape.every((n, i) => (i === axis ? start >= 0 && start + n <= target.shape[i]! : n === target.shape[i]));
    if (!fits) {
      throw new ShapeError(`assignSlice: ${formatShape(source.shape)} at ${start} of axis ${axis} is not within ${formatShape(target.shape)}`);
    }
    if (target.dtype !== source.dtype) throw new DTypeError(`assignSlice: expected ${target.dtype}, got ${source.dtype}`);
  },
  decompose: null,
});

/** Overwrites `target` in place from index `start` of one axis on.
 *  @throws ShapeError when the source does not fit there */
export function assignSlice(target: Tensor, source: Tensor, axis: number, start: number): void {
  runUpdate(assignSliceOp, [target, source], { axis: resolveAxis("assignSlice", axis, target.shape.length), start });
}

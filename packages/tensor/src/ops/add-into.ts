import { ShapeError } from "../errors.ts";
import { defineUpdate, runUpdate, type Update } from "../op.ts";
import { formatShape, sameShape } from "../shape.ts";
import type { Tensor } from "../tensor.ts";
import { add } from "./add.ts";
import { assign } from "./assign.ts";
import { cast } from "./cast.ts";

export const addIntoOp: Update<readonly [target: Tensor, source: Tensor], null> = defineUpdate({
  name: "addInto",
  check: ([target, source]) => {
    if (!sameShape(target.shape, source.shape)) {
      throw new ShapeError(`addInto: expected ${formatShape(target.shape)}, got ${formatShape(source.shape)}`);
    }
  },
  decompose: ([target, source]) => assign(target, add(cast(target, "f32"), cast(source, "f32"))),
});

/** Adds `source` to `target` in place; the sum is formed in f32 and rounded to the target's dtype. */
export function addInto(target: Tensor, source: Tensor): void {
  runUpdate(addIntoOp, [target, source], null);
}

import { ShapeError } from "../errors.ts";
import { defineUpdate, runUpdate, type Update } from "../op.ts";
import { formatShape, sameShape } from "../shape.ts";
import type { Tensor } from "../tensor.ts";

/** Primitive: overwrites the target, converting to its dtype. */
export const assignOp: Update<readonly [target: Tensor, source: Tensor], null> = defineUpdate({
  name: "assign",
  check: ([target, source]) => {
    if (!sameShape(target.shape, source.shape)) {
      throw new ShapeError(`assign: expected ${formatShape(target.shape)}, got ${formatShape(source.shape)}`);
    }
  },
  decompose: null,
});

/** Overwrites `target` in place with the values of `source`, rounded to its dtype. */
export function assign(target: Tensor, source: Tensor): void {
  runUpdate(assignOp, [target, source], null);
}

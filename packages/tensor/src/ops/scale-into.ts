import { ShapeError } from "../errors.ts";
import { defineUpdate, runUpdate, type Update } from "../op.ts";
import { formatShape } from "../shape.ts";
import type { Tensor } from "../tensor.ts";
import { assign } from "./assign.ts";
import { cast } from "./cast.ts";
import { mul } from "./mul.ts";

export const scaleIntoOp: Update<readonly [target: Tensor, factor: Tensor], null> = defineUpdate({
  name: "scaleInto",
  check: ([, factor]) => {
    if (factor.size !== 1 || factor.dtype !== "f32") {
      throw new ShapeError(`scaleInto: expected one f32 factor, got ${factor.dtype} ${formatShape(factor.shape)}`);
    }
  },
  decompose: ([target, factor]) => assign(target, mul(cast(target, "f32"), factor.view([]))),
});

/** Multiplies `target` in place by a factor that lives on the device; a factor of exactly 1 costs nothing.
 *  @param factor f32 `[]` */
export function scaleInto(target: Tensor, factor: Tensor): void {
  runUpdate(scaleIntoOp, [target, factor], null);
}

import { isFloat } from "../../dtype.ts";
import { DTypeError, ShapeError } from "../../errors.ts";
import { defineUpdate, runUpdate, type Update } from "../../op.ts";
import { formatShape } from "../../shape.ts";
import type { Tensor } from "../../tensor.ts";
import { add } from "../add.ts";
import { argmax } from "../argmax.ts";
import { assign } from "../assign.ts";
import { reshape } from "../reshape.ts";

export const chooseNextOp: Update<readonly [id: Tensor, position: Tensor, stored: Tensor, logits: Tensor], null> = defineUpdate({
  name: "chooseNext",
  check: ([id, position, stored, logits]) => {
    const places = [id, position, stored];
    if (places.some(({ size }) => size !== 1) || logits.size === 0) {
      const shapes = places.map(({ shape }) => formatShape(shape)).join(", ");
      throw new ShapeError(`chooseNext: expected one id, position and count, and scores, got ${shapes} and ${formatShape(logits.shape)}`);
    }
    if (places.some(({ dtype }) => dtype !== "i32") || !isFloat(logits.dtype)) {
      throw new DTypeError(`chooseNext: expected i32 and scores of a float dtype, got ${[...places, logits].map(({ dtype }) => dtype).join(", ")}`);
    }
  },
  decompose: ([id, position, stored, logits]) => {
    assign(id, reshape(argmax(reshape(logits, [-1])), id.shape));
    for (const count of [position, stored]) assign(count, add(count, 1));
  },
});

/** Chooses the token after a text and goes on to it, where the device alone need know: `id` becomes that of the largest score, the
 *  first of equals; NaN counts as largest. `position` and `stored` grow by 1.
 *  @param id, position, stored i32, one element  @param logits scores of every token, of any shape
 *  @throws ShapeError or DTypeError when they do not fit */
export function chooseNext(id: Tensor, position: Tensor, stored: Tensor, logits: Tensor): void {
  runUpdate(chooseNextOp, [id, position, stored, logits], null);
}

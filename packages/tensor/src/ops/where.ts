import { DTypeError } from "../errors.ts";
import { defineOp, run, type Op } from "../op.ts";
import { broadcastShapes } from "../shape.ts";
import type { Tensor } from "../tensor.ts";
import { full } from "./full.ts";

export const whereOp: Op<readonly [Tensor, Tensor, Tensor], readonly [Tensor], null> = defineOp({
  name: "where",
  infer: ([mask, a, b]) => {
    if (mask.dtype !== "u8") throw new DTypeError(`where: expected a u8 mask, got ${mask.dtype}`);
    if (a.dtype !== b.dtype) throw new DTypeError(`where: expected choices of one dtype, got ${a.dtype} and ${b.dtype}`);
    const choices = broadcastShapes("where", a.shape, b.shape);
    return [{ shape: broadcastShapes("where", mask.shape, choices), dtype: a.dtype }];
  },
  vjp: ([g], [mask]) => {
    if (g === null) return [null, null, null];
    const zero = full(g.device, [], 0, g.dtype);
    return [null, where(mask, g, zero), where(mask, zero, g)];
  },
  decompose: null,
  saves: { inputs: [0], outputs: [] },
});

/** `a` where the mask is not 0, else `b`, with broadcasting; what is not chosen does not matter, NaN included.
 *  @param mask u8 */
export function where(mask: Tensor, a: Tensor, b: Tensor): Tensor {
  return run(whereOp, [mask, a, b], null)[0];
}

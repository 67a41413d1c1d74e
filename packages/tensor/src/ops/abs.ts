import { run } from "../op.ts";
import type { Tensor } from "../tensor.ts";
import { defineUnary, type UnaryOp } from "./elementwise.ts";
import { less } from "./less.ts";
import { neg } from "./neg.ts";
import { where } from "./where.ts";

export const absOp: UnaryOp = defineUnary("abs", ([g], [x]) => [g && where(less(x, 0), neg(g), g)]);

/** Absolute value, element by element; its gradient at 0 is that of the positive side. */
export function abs(x: Tensor): Tensor {
  return run(absOp, [x], null)[0];
}

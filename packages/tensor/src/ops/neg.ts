import { run } from "../op.ts";
import type { Tensor } from "../tensor.ts";
import { defineUnary, type UnaryOp } from "./elementwise.ts";

export const negOp: UnaryOp = defineUnary("neg", ([g]) => [g && neg(g)], "nothing");

/** `−x`, element by element. */
export function neg(x: Tensor): Tensor {
  return run(negOp, [x], null)[0];
}

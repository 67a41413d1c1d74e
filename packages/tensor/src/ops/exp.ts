import { run } from "../op.ts";
import type { Tensor } from "../tensor.ts";
import { defineUnary, type UnaryOp } from "./elementwise.ts";
import { mul } from "./mul.ts";

export const expOp: UnaryOp = defineUnary("exp", ([g], _, [y]) => [g && mul(g, y)], "output");

/** `eˣ`, element by element. */
export function exp(x: Tensor): Tensor {
  return run(expOp, [x], null)[0];
}

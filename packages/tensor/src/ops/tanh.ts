import { run } from "../op.ts";
import type { Tensor } from "../tensor.ts";
import { defineUnary, type UnaryOp } from "./elementwise.ts";
import { mul } from "./mul.ts";
import { sub } from "./sub.ts";

export const tanhOp: UnaryOp = defineUnary("tanh", ([g], _, [y]) => [g && mul(g, sub(1, mul(y, y)))], "output");

/** Hyperbolic tangent, element by element. */
export function tanh(x: Tensor): Tensor {
  return run(tanhOp, [x], null)[0];
}

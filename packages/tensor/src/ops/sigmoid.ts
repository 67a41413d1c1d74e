import { run } from "../op.ts";
import type { Tensor } from "../tensor.ts";
import { defineUnary, type UnaryOp } from "./elementwise.ts";
import { mul } from "./mul.ts";
import { sub } from "./sub.ts";

export const sigmoidOp: UnaryOp = defineUnary("sigmoid", ([g], _, [y]) => [g && mul(g, mul(y, sub(1, y)))], "output");

/** `1 / (1 + e⁻ˣ)`, element by element. */
export function sigmoid(x: Tensor): Tensor {
  return run(sigmoidOp, [x], null)[0];
}

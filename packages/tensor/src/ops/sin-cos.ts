import { run } from "../op.ts";
import type { Tensor } from "../tensor.ts";
import { defineUnary, type UnaryOp } from "./elementwise.ts";
import { mul } from "./mul.ts";
import { neg } from "./neg.ts";

export const sinOp: UnaryOp = defineUnary("sin", ([g], [x]) => [g && mul(g, cos(x))]);
export const cosOp: UnaryOp = defineUnary("cos", ([g], [x]) => [g && neg(mul(g, sin(x)))]);

/** Sine of an angle in radians, element by element. */
export function sin(x: Tensor): Tensor {
  return run(sinOp, [x], null)[0];
}

/** Cosine of an angle in radians, element by element. */
export function cos(x: Tensor): Tensor {
  return run(cosOp, [x], null)[0];
}

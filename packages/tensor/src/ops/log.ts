import { run } from "../op.ts";
import type { Tensor } from "../tensor.ts";
import { defineUnary, type UnaryOp } from "./elementwise.ts";
import { div } from "./div.ts";

export const logOp: UnaryOp = defineUnary("log", ([g], [x]) => [g && div(g, x)]);

/** Natural logarithm, element by element. */
export function log(x: Tensor): Tensor {
  return run(logOp, [x], null)[0];
}

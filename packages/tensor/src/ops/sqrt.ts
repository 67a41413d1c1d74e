import { run } from "../op.ts";
import type { Tensor } from "../tensor.ts";
import { defineUnary, type UnaryOp } from "./elementwise.ts";
import { div } from "./div.ts";
import { mul } from "./mul.ts";

export const sqrtOp: UnaryOp = defineUnary("sqrt", ([g], _, [y]) => [g && div(g, mul(y, 2))], "output");

/** Square root, element by element. */
export function sqrt(x: Tensor): Tensor {
  return run(sqrtOp, [x], null)[0];
}

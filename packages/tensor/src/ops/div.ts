import { binaryDoor, type Binary } from "../door.ts";
import { defineBinary, type BinaryOp } from "./elementwise.ts";
import { mul } from "./mul.ts";
import { neg } from "./neg.ts";

export const divOp: BinaryOp = defineBinary("div", ([g], [a, b]) => {
  if (g === null) return [null, null];
  const da = div(g, b);
  // Not g·a / b², whose square leaves the range of f32 long before the quotient does.
  return [da, neg(mul(da, div(a, b)))];
});

/** `a / b`, element by element, with broadcasting; integers divide toward zero, and by 0 give 0. */
export const div: Binary = binaryDoor(divOp);

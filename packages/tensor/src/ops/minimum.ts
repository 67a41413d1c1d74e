import { binaryDoor, type Binary } from "../door.ts";
import { defineBinary, type BinaryOp } from "./elementwise.ts";
import { full } from "./full.ts";
import { lessEqual } from "./less-equal.ts";
import { where } from "./where.ts";

export const minimumOp: BinaryOp = defineBinary("minimum", ([g], [a, b]) => {
  if (g === null) return [null, null];
  const zero = full(g.device, [], 0, g.dtype);
  const left = lessEqual(a, b);
  return [where(left, g, zero), where(left, zero, g)];
});

/** The smaller of `a` and `b`, element by element; NaN if either is. The gradient of a tie goes to `a`. */
export const minimum: Binary = binaryDoor(minimumOp);

import { binaryDoor, type Binary } from "../door.ts";
import { defineBinary, type BinaryOp } from "./elementwise.ts";
import { lessEqual } from "./less-equal.ts";
import { full } from "./full.ts";
import { where } from "./where.ts";

export const maximumOp: BinaryOp = defineBinary("maximum", ([g], [a, b]) => {
  if (g === null) return [null, null];
  const zero = full(g.device, [], 0, g.dtype);
  const right = lessEqual(a, b);
  return [where(right, zero, g), where(right, g, zero)];
});

/** The larger of `a` and `b`, element by element; NaN if either is. The gradient of a tie goes to `b`. */
export const maximum: Binary = binaryDoor(maximumOp);

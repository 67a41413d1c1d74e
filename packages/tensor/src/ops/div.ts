import { binaryDoor, type Binary } from "../door.ts";
import { defineBinary, type BinaryOp } from "./elementwise.ts";
import { mul } from "./mul.ts";
import { neg } from "./neg.ts";

export const divOp: BinaryOp = defineBinary("div", ([g], [a, b]) => (
  g === null ? [null, null] : [div(g, b), neg(div(mul(g, a), mul(b, b)))]
));

/** `a / b`, element by element, with broadcasting; integers divide toward zero, and by 0 give 0. */
export const div: Binary = binaryDoor(divOp);

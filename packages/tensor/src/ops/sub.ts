import { binaryDoor, type Binary } from "../door.ts";
import { defineBinary, type BinaryOp } from "./elementwise.ts";
import { neg } from "./neg.ts";

export const subOp: BinaryOp = defineBinary("sub", ([g]) => [g, g && neg(g)], { reads: [] });

/** `a − b`, element by element, with broadcasting. */
export const sub: Binary = binaryDoor(subOp);

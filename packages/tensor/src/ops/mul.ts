import { binaryDoor, type Binary } from "../door.ts";
import { defineBinary, type BinaryOp } from "./elementwise.ts";

export const mulOp: BinaryOp = defineBinary("mul", ([g], [a, b]) => [g && mul(g, b), g && mul(g, a)]);

/** `a · b`, element by element, with broadcasting. */
export const mul: Binary = binaryDoor(mulOp);

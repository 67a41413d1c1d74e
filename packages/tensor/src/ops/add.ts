import { binaryDoor, type Binary } from "../door.ts";
import { defineBinary, type BinaryOp } from "./elementwise.ts";

export const addOp: BinaryOp = defineBinary("add", ([g]) => [g, g], { reads: [] });

/** `a + b`, element by element, with broadcasting. */
export const add: Binary = binaryDoor(addOp);

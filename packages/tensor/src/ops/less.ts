import { binaryDoor, type Binary } from "../door.ts";
import { defineBinary, type BinaryOp } from "./elementwise.ts";

export const lessOp: BinaryOp = defineBinary("less", null, { result: "u8" });

/** 1 where `a < b`, else 0, as u8, with broadcasting; comparisons with NaN give 0. */
export const less: Binary = binaryDoor(lessOp);

import typedFunction from "typed-function";

import { run, type Op } from "./op.ts";
import { full } from "./ops/full.ts";
import { Tensor } from "./tensor.ts";

const typed = typedFunction.create();
typed.addTypes([{ name: "Tensor", test: (x: unknown) => x instanceof Tensor }]);

/** A public function of two operands, either of which may be a number. */
export type Binary = (a: Tensor | number, b: Tensor | number) => Tensor;

/** The public door of a two-operand op: picks by argument kind, and turns a number into a scalar of the other's type.
 *  A wrong argument throws typed-function's TypeError, which names function, argument and kinds. */
export function binaryDoor(op: Op<readonly [Tensor, Tensor], readonly [Tensor], null>): Binary {
  const scalar = (like: Tensor, value: number): Tensor => full(like.device, [], value, like.dtype);
  return typed(op.name, {
    "Tensor, Tensor": (a: Tensor, b: Tensor) => run(op, [a, b], null)[0],
    "Tensor, number": (a: Tensor, b: number) => run(op, [a, scalar(a, b)], null)[0],
    "number, Tensor": (a: number, b: Tensor) => run(op, [scalar(b, a), b], null)[0],
  }) as Binary;
}

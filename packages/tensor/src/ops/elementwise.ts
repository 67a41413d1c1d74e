import { DTypeError } from "../errors.ts";
import { defineOp, type Op, type OpDefinition } from "../op.ts";
import { isFloat, type DType } from "../dtype.ts";
import { broadcastShapes } from "../shape.ts";
import type { Tensor } from "../tensor.ts";

/** An op of one operand. */
export type UnaryOp = Op<readonly [Tensor], readonly [Tensor], null>;
/** An op of two operands that broadcast. */
export type BinaryOp = Op<readonly [Tensor, Tensor], readonly [Tensor], null>;

type UnaryVjp = OpDefinition<readonly [Tensor], readonly [Tensor], null>["vjp"];
type BinaryVjp = OpDefinition<readonly [Tensor, Tensor], readonly [Tensor], null>["vjp"];

/** A primitive that maps every element of a float tensor; its gradient rule reads the input, or the output if it says so. */
export function defineUnary(name: string, vjp: UnaryVjp, reads: "input" | "output" | "nothing" = "input"): UnaryOp {
  return defineOp<readonly [Tensor], readonly [Tensor], null>({
    name,
    infer: ([x]) => {
      if (!isFloat(x.dtype)) throw new DTypeError(`${name}: expected a float tensor, got ${x.dtype}`, { dtype: x.dtype });
      return [{ shape: x.shape, dtype: x.dtype }];
    },
    vjp,
    decompose: null,
    saves: { inputs: reads === "input" ? [0] : [], outputs: reads === "output" ? [0] : [] },
  });
}

/** A primitive of two broadcasting operands of one dtype. Gradients may have the broadcast shape: they are summed back
 *  to the operand's shape in one place. */
export function defineBinary(
  name: string, vjp: BinaryVjp, options: { readonly result?: DType; readonly reads?: readonly number[] } = {},
): BinaryOp {
  return defineOp<readonly [Tensor, Tensor], readonly [Tensor], null>({
    name,
    infer: ([a, b]) => {
      if (a.dtype !== b.dtype) {
        throw new DTypeError(`${name}: expected operands of one dtype, got ${a.dtype} and ${b.dtype}; use cast()`, { a: a.dtype, b: b.dtype });
      }
      return [{ shape: broadcastShapes(name, a.shape, b.shape), dtype: options.result ?? a.dtype }];
    },
    vjp,
    decompose: null,
    saves: { inputs: options.reads ?? [0, 1], outputs: [] },
  });
}

import { add, defineOp, DTypeError, mul, reshape, run, ShapeError, sum, type Op, type Tensor } from "@danu/tensor";

export const sumSquaresOp: Op<readonly Tensor[], readonly [Tensor], null> = defineOp({
  name: "sumSquares",
  infer: (tensors) => {
    for (const { dtype } of tensors) if (dtype !== "f32") throw new DTypeError(`sumSquares: expected f32, got ${dtype}`);
    return [{ shape: [], dtype: "f32" }];
  },
  vjp: null,
  decompose: (tensors) => [tensors.map((x) => reshape(sum(mul(x, x)), [])).reduce((total, one) => add(total, one))],
});

/** Sum of squares over all tensors, in a fixed order. @param tensors f32  @returns f32 `[]` */
export function sumSquares(tensors: readonly Tensor[]): Tensor {
  // Without a tensor there is no device to run on, which says less.
  if (tensors.length === 0) throw new ShapeError("sumSquares: expected at least one tensor, got none");
  return run(sumSquaresOp, tensors, null)[0];
}

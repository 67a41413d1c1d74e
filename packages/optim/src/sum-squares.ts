import {
  add, assign, defineUpdate, DTypeError, formatShape, mul, reshape, runUpdate, ShapeError, sum, zeros,
  type Tensor, type Update,
} from "@danu/tensor";

export const addSquaresOp: Update<readonly [total: Tensor, x: Tensor], null> = defineUpdate({
  name: "addSquares",
  check: ([total, x]) => {
    if (total.size !== 1) throw new ShapeError(`addSquares: expected a total of one element, got ${formatShape(total.shape)}`);
    if (total.dtype !== "f32" || x.dtype !== "f32") throw new DTypeError(`addSquares: expected f32, got ${total.dtype} and ${x.dtype}`);
  },
  decompose: ([total, x]) => assign(total, add(total, reshape(sum(mul(x, x)), total.shape))),
});

/** Sum of squares over all tensors, in a fixed order. @returns f32 `[]` */
export function sumSquares(tensors: readonly Tensor[]): Tensor {
  const [first] = tensors;
  if (first === undefined) throw new ShapeError("sumSquares: expected at least one tensor");
  const total = zeros(first.device, []);
  for (const x of tensors) runUpdate(addSquaresOp, [total, x], null);
  return total;
}

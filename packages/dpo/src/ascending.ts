import {
  add,
  cast,
  embeddingGradOp,
  equal,
  iota,
  less,
  mul,
  reshape,
  run,
  stopGradient,
  sum,
  type Tensor,
} from "@danu/tensor";

/** The elements in ascending order, ties in their first order. The gradient goes back to where each came from.
 *
 *  Every element is scattered to its rank, the number of elements before it, which takes `[B, B]` comparisons and no
 *  look at the values from the host.
 *  @param x f32 `[B]`  @returns f32 `[B]` */
export function ascending(x: Tensor): Tensor {
  const B = x.size;
  const column = reshape(stopGradient(x), [B, 1]);
  const row = reshape(stopGradient(x), [1, B]);
  const index = iota(x.device, B);
  const earlier = less(reshape(index, [1, B]), reshape(index, [B, 1]));
  const before = add(cast(less(row, column), "f32"), mul(cast(equal(row, column), "f32"), cast(earlier, "f32")));
  const ranks = cast(sum(before, { axis: 1 }), "i32");
  return reshape(run(embeddingGradOp, [reshape(x, [B, 1]), ranks], { V: B })[0], [B]);
}

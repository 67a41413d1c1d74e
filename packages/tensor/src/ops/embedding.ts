import { DTypeError, ShapeError } from "../errors.ts";
import { defineOp, run, type Op } from "../op.ts";
import { formatShape } from "../shape.ts";
import type { Tensor } from "../tensor.ts";

/** Primitive: rows of a table. */
export const embeddingOp: Op<readonly [ids: Tensor, table: Tensor], readonly [Tensor], null> = defineOp({
  name: "embedding",
  infer: ([ids, table]) => {
    if (ids.dtype !== "i32") throw new DTypeError(`embedding: expected i32 ids, got ${ids.dtype}`);
    if (table.shape.length !== 2) throw new ShapeError(`embedding: expected a table [V, C], got ${formatShape(table.shape)}`);
    return [{ shape: [...ids.shape, table.shape[1]!], dtype: table.dtype }];
  },
  vjp: ([g], [ids, table]) => [null, g && run(embeddingGradOp, [g, ids], { V: table.shape[0]! })[0]],
  decompose: null,
  saves: { inputs: [0], outputs: [] },
});

/** Primitive: sums the rows of `g [..., C]` that share an id into an f32 table `[V, C]`, in the order of the rows. */
export const embeddingGradOp: Op<readonly [g: Tensor, ids: Tensor], readonly [Tensor], { readonly V: number }> = defineOp({
  name: "embeddingGrad",
  infer: ([g], { V }) => [{ shape: [V, g.shape.at(-1)!], dtype: "f32" }],
  vjp: ([h], [, ids]) => [h && run(embeddingOp, [ids, h], null)[0], null],
  decompose: null,
});

/** Looks up one row of the table for every id. The gradient of the table is f32.
 *  @param ids i32 `[...]`  @param table `[V, C]`  @returns `[..., C]`, dtype of the table
 *  @throws DeviceError at the next read when an id is not in `[0, V)` */
export function embedding(ids: Tensor, table: Tensor): Tensor {
  return run(embeddingOp, [ids, table], null)[0];
}

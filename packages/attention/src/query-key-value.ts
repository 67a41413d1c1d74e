import {
  defineOp, dims, formatShape, linearOp, reshape, rmsNormOp, run, scope, ShapeError, type Op, type RmsNormAttrs, type Tensor,
} from "@danu/tensor";

import type { QueryKeyValueWeights } from "./fp8-query-key-value.ts";
import { checkTurn, ropeOp } from "./rope.ts";

export const queryKeyValueOp: Op<
  readonly [x: Tensor, norm: Tensor, query: Tensor, key: Tensor, value: Tensor, table: Tensor, positions: Tensor],
  readonly [q: Tensor, k: Tensor, v: Tensor], RmsNormAttrs
> = defineOp({
  name: "queryKeyValue",
  infer: ([x, norm, query, key, value, table, positions], attrs) => {
    const { B, T } = dims(x, "B T C");
    const D = table.shape.at(-1) ?? 0;
    checkTurn("queryKeyValue", { B, T, D }, table, positions);
    rmsNormOp.infer([x, norm], attrs);
    const weights = [query, key, value] as const;
    const specs = weights.map((weight) => linearOp.infer([x, weight, null], null)[0]);
    if (specs.some(({ shape: [, , O] }) => O! % D !== 0) || key.shape[0] !== value.shape[0]) {
      const shapes = weights.map(({ shape }) => formatShape(shape)).join(", ");
      throw new ShapeError(`queryKeyValue: expected weights [heads · ${D}, C] for a table [P, ${D}], as many of keys as of values, got ${shapes}`);
    }
    const [q, k, v] = specs.map(({ shape: [, , O], dtype }) => ({ shape: [B, T, O! / D, D], dtype }));
    return [q!, k!, v!];
  },
  vjp: null,
  decompose: ([x, norm, query, key, value, table, positions], attrs) => {
    const { B, T } = dims(x, "B T C");
    const D = table.shape[1]!;
    const [normed] = run(rmsNormOp, [x, norm], attrs);
    const heads = (weight: Tensor): Tensor => reshape(run(linearOp, [normed, weight, null], null)[0], [B, T, weight.shape[0]! / D, D]);
    const [q, k, v] = [heads(query), heads(key), heads(value)];
    const turn = (one: Tensor): Tensor => run(ropeOp, [one, table, positions], { inverse: false })[0];
    return [turn(q), turn(k), v];
  },
});

/** Queries, keys and values of a normed input, the first two turned, where no gradient is asked for: `rmsNorm`, `linear`, `rope`.
 *  @param x `[B, T, C]`  @param norm `[C]`, see `rmsNorm`  @param table f32 `[P, D]` of `ropeTable`
 *  @param positions i32 `[B, T]`, each in `[0, P)`  @param eps see `rmsNorm`
 *  @returns `[B, T, H, D]`, `[B, T, G, D]` and `[B, T, G, D]`, dtype of x
 *  @throws ShapeError when sizes do not fit, DTypeError when types differ; DeviceError at the next read for a position outside of
 *  the table */
export function queryKeyValue(
  x: Tensor, norm: Tensor, { query, key, value }: QueryKeyValueWeights, table: Tensor, positions: Tensor, eps = 1e-5,
): readonly [q: Tensor, k: Tensor, v: Tensor] {
  return scope(() => run(queryKeyValueOp, [x, norm, query, key, value, table, positions], { eps }));
}

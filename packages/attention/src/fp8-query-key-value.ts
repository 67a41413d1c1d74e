import {
  cast, defineOp, dims, formatShape, fp8CopySpecs, fp8NormLinearsGradOp, fp8NormLinearsOp, reshape, run, scope, ShapeError, zeros,
  type Fp8Attrs, type Fp8Copies, type Fp8Matrix, type Op, type RmsNormAttrs, type Spec, type Tensor,
} from "@danu/tensor";

import { checkTurn, ropeOp } from "./rope.ts";

type QueryKeyValueAttrs = RmsNormAttrs & Fp8Attrs;

interface GradAttrs extends QueryKeyValueAttrs {
  /** Whether the gradients of the weights are wanted; else they come back empty. */
  readonly needsWeights: boolean;
}

export const fp8QueryKeyValueOp: Op<
  readonly [
    x: Tensor, norm: Tensor, scaling: Tensor, rowwise: Tensor, transposed: Tensor, table: Tensor, positions: Tensor,
    query: Tensor, key: Tensor, value: Tensor,
  ],
  readonly [inverseRms: Tensor, q: Tensor, k: Tensor, v: Tensor], QueryKeyValueAttrs
> = defineOp({
  name: "fp8QueryKeyValue",
  infer: ([x, norm, scaling, rowwise, transposed, table, positions, ...weights], attrs) => {
    const { B, T } = dims(x, "B T C");
    const D = table.shape.at(-1) ?? 0;
    checkTurn("fp8QueryKeyValue", { B, T, D }, table, positions);
    const [inverseRms, ...y] = fp8NormLinearsOp.infer([x, norm, scaling, rowwise, transposed, ...weights], attrs);
    if (weights.some(({ shape: [O] }) => O! % D !== 0)) {
      const shapes = weights.map(({ shape }) => formatShape(shape)).join(", ");
      throw new ShapeError(`fp8QueryKeyValue: expected weights [heads · ${D}, C] for a table [P, ${D}], got ${shapes}`);
    }
    const [q, k, v] = y.map(({ shape: [, , O], dtype }) => ({ shape: [B, T, O! / D, D], dtype }));
    return [inverseRms!, q!, k!, v!];
  },
  vjp: ([, ...g], [x, norm, scaling, , transposed, table, positions], [inverseRms, ...y], { eps, calibrate }, needs, { arrived, castBy }) => {
    const none = [null, null, null, null, null] as const;
    if (g.every((one) => one === null)) return [null, null, ...none, null, null, null];
    const [gQ, gK, gV] = g.map((one, i) => one ?? zeros(x.device, y[i]!.shape, x.dtype)) as [Tensor, Tensor, Tensor];
    const needed = needs.slice(7);
    const inputs = [x, norm, inverseRms, scaling, transposed, table, positions, gQ, gK, gV, arrived, castBy] as const;
    const [dx, dNorm, dQuery, dKey, dValue, ...copies] = run(fp8QueryKeyValueGradOp, inputs, { eps, calibrate, needsWeights: needed.some(Boolean) });
    const [ofQuery, ofKey, ofValue] = [dQuery, dKey, dValue].map((one, i) => (needed[i] === true ? one : null)) as [Tensor, Tensor, Tensor];
    return [dx, dNorm, ...none, ofQuery, ofKey, ofValue, ...(castBy === null ? [] : copies)];
  },
  decompose: ([x, norm, scaling, rowwise, transposed, table, positions, ...weights], attrs) => {
    const [inverseRms, ...y] = run(fp8NormLinearsOp, [x, norm, scaling, rowwise, transposed, ...weights], attrs);
    const [q, k, v] = y.map((one) => heads(one, table)) as [Tensor, Tensor, Tensor];
    const turn = (one: Tensor): Tensor => run(ropeOp, [one, table, positions], { inverse: false })[0];
    return [inverseRms, turn(q), turn(k), v];
  },
  saves: { inputs: [0, 1, 2, 4, 5, 6], outputs: [0] },
  completes: 0,
});

/** Gradients of `fp8QueryKeyValue`: of x in its dtype, with another gradient of x added and cast by the scaling that reads it, of
 *  norm and weights in f32. Those of queries and keys are turned back and, not rounded before, cast to e5m2 with those of values by
 *  one factor. */
export const fp8QueryKeyValueGradOp: Op<
  readonly [
    x: Tensor, norm: Tensor, inverseRms: Tensor, scaling: Tensor, transposed: Tensor, table: Tensor, positions: Tensor,
    gQ: Tensor, gK: Tensor, gV: Tensor, residual: Tensor | null, castBy: Tensor | null,
  ],
  readonly [dx: Tensor, dNorm: Tensor, dQuery: Tensor, dKey: Tensor, dValue: Tensor, ...copies: Fp8Copies], GradAttrs
> = defineOp({
  name: "fp8QueryKeyValueGrad",
  infer: ([x, norm, , , , , , gQ, gK, gV, , castBy], { needsWeights }) => {
    const ofWeight = ({ shape: [, , H, D] }: Tensor): Spec => ({ shape: [needsWeights ? H! * D! : 0, norm.size], dtype: "f32" });
    return [{ shape: x.shape, dtype: x.dtype }, { shape: norm.shape, dtype: "f32" }, ofWeight(gQ), ofWeight(gK), ofWeight(gV), ...fp8CopySpecs(x, castBy)];
  },
  vjp: null,
  decompose: ([x, norm, inverseRms, scaling, transposed, table, positions, gQ, gK, gV, residual, castBy], attrs) => {
    const turnBack = (g: Tensor): Tensor => run(ropeOp, [cast(g, "f32"), table, positions], { inverse: true })[0];
    const [q, k, v] = [turnBack(gQ), turnBack(gK), gV].map(rows) as [Tensor, Tensor, Tensor];
    const inputs = [x, norm, inverseRms, scaling, transposed, residual, castBy, q, k, v] as const;
    const [dx, dNorm, copy, copyTransposed, dQuery, dKey, dValue] = run(fp8NormLinearsGradOp, inputs, attrs);
    return [dx, dNorm, dQuery!, dKey!, dValue!, copy, copyTransposed];
  },
});

/** @param y `[B, T, H · D]`  @param table `[P, D]`  @returns `[B, T, H, D]` */
function heads(y: Tensor, { shape: [, D] }: Tensor): Tensor {
  const { B, T, C } = dims(y, "B T C");
  return reshape(y, [B, T, C / D!, D!]);
}

/** @param y `[B, T, H, D]`  @returns `[B, T, H · D]` */
function rows(y: Tensor): Tensor {
  const { B, T, H, D } = dims(y, "B T H D");
  return reshape(y, [B, T, H * D]);
}

/** Weights of the layers that attention reads. */
export interface QueryKeyValueWeights {
  /** `[H · D, C]` */
  readonly query: Tensor;
  /** `[G · D, C]` */
  readonly key: Tensor;
  /** `[G · D, C]` */
  readonly value: Tensor;
}

/** Queries, keys and values of a normed input in fp8, the first two turned: `fp8NormLinears`, then `rope`. What comes back is cast
 *  as it is turned back. Micikevicius et al. 2022; Su et al. 2021.
 *  @param x `[B, T, C]`  @param norm `[C]`, see `rmsNorm`  @param weights what gradients are of; their elements are read from the
 *  matrix  @param matrix query above key above value, as `writeFp8` wrote them  @param table f32 `[P, D]` of `ropeTable`
 *  @param positions i32 `[B, T]`, each in `[0, P)`  @param options.eps see `rmsNorm`
 *  @returns `[B, T, H, D]`, `[B, T, G, D]` and `[B, T, G, D]`, dtype of x
 *  @throws ShapeError when sizes do not fit, DTypeError when types differ; DeviceError at the next read for a position outside of
 *  the table */
export function fp8QueryKeyValue(
  x: Tensor, norm: Tensor, { query, key, value }: QueryKeyValueWeights, { scaling, rowwise, transposed }: Fp8Matrix,
  table: Tensor, positions: Tensor, { eps = 1e-5, calibrate = false }: Partial<QueryKeyValueAttrs> = {},
): readonly [q: Tensor, k: Tensor, v: Tensor] {
  return scope(() => {
    const inputs = [x, norm, scaling, rowwise, transposed, table, positions, query, key, value] as const;
    const [, q, k, v] = run(fp8QueryKeyValueOp, inputs, { eps, calibrate });
    return [q, k, v] as const;
  });
}

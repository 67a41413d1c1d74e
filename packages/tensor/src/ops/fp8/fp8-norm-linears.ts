import { ShapeError } from "../../errors.ts";
import { defineOp, run, type Op } from "../../op.ts";
import { scope } from "../../scope.ts";
import { formatShape } from "../../shape.ts";
import type { Tensor } from "../../tensor.ts";
import { cast } from "../cast.ts";
import { zeros } from "../full.ts";
import { reshape } from "../reshape.ts";
import { rmsNormGradOp, rmsNormOp, type RmsNormAttrs } from "../rms-norm.ts";
import { copiesOf, fp8CopySpecs } from "./fp8-copies.ts";
import { checkFp8Weights, type Fp8Matrix } from "./fp8-matrix.ts";
import {
  checkOneFloat, fp8InputGradient, fp8Product, fp8WeightGradient, rowsOf, sideBySide, split, type Fp8Attrs,
} from "./fp8-products.ts";
import { fp8Cast, type Fp8Cast } from "./fp8-scaling.ts";

type NormLinearsAttrs = RmsNormAttrs & Fp8Attrs;

interface GradAttrs extends NormLinearsAttrs {
  /** Whether the gradients of the weights are wanted; else they come back empty. */
  readonly needsWeights: boolean;
}

export const fp8NormLinearsOp: Op<
  readonly [x: Tensor, norm: Tensor, scaling: Tensor, rowwise: Tensor, transposed: Tensor, ...weights: Tensor[]],
  readonly [inverseRms: Tensor, ...y: Tensor[]], NormLinearsAttrs
> = defineOp({
  name: "fp8NormLinears",
  infer: ([x, norm, scaling, rowwise, transposed, ...weights]) => {
    checkNorm("fp8NormLinears", x, norm);
    checkOneFloat("fp8NormLinears", [x, norm, ...weights]);
    checkFp8Weights("fp8NormLinears", { scaling, rowwise, transposed }, weights);
    if (rowwise.shape[1] !== norm.size) throw new ShapeError(`fp8NormLinears: expected weights [O_i, ${norm.size}], got ${formatShape(weights[0]!.shape)}`);
    const rows = x.shape.slice(0, -1);
    return [{ shape: rows, dtype: "f32" }, ...weights.map(({ shape: [O] }) => ({ shape: [...rows, O!], dtype: x.dtype }))];
  },
  vjp: ([, ...g], [x, norm, scaling, , transposed, ...weights], [inverseRms], { eps, calibrate }, [, , , , , ...needsWeights], { arrived, castBy }) => {
    const none = [null, null, null] as const;
    if (g.every((one) => one === null)) return [null, null, ...none, ...weights.map(() => null)];
    const all = g.map((one, i) => one ?? zeros(x.device, [...x.shape.slice(0, -1), weights[i]!.shape[0]!], x.dtype));
    const attrs = { eps, calibrate, needsWeights: needsWeights.some(Boolean) };
    const [dx, dNorm, copy, copyTransposed, ...dWeights] = run(
      fp8NormLinearsGradOp, [x, norm, inverseRms, scaling, transposed, arrived, castBy, ...all], attrs,
    );
    const wanted = dWeights.map((one, i) => (needsWeights[i] === true ? one : null));
    return [dx, dNorm, ...none, ...wanted, ...(castBy === null ? [] : [copy, copyTransposed])];
  },
  decompose: ([x, norm, scaling, rowwise, , ...weights], { eps, calibrate }) => {
    const { normed, inverseRms } = fp8Norm(x, norm, scaling, { eps, calibrate });
    const products = split(fp8Product(normed, { rowwise, scaling }), 1, weights.map(({ shape: [O] }) => O!));
    return [inverseRms, ...products.map((y) => cast(reshape(y, [...x.shape.slice(0, -1), y.shape[1]!]), x.dtype))];
  },
  saves: { inputs: [0, 1, 2, 4], outputs: [0] },
  completes: 0,
});

/** Gradients of `fp8NormLinears`: of x in its dtype, with another gradient of x added and cast by the scaling that reads it, of norm
 *  and weights in f32. Those that come in are cast to e5m2 with one factor; the gradient of the norm's result is rounded to the
 *  dtype of x. */
export const fp8NormLinearsGradOp: Op<
  readonly [
    x: Tensor, norm: Tensor, inverseRms: Tensor, scaling: Tensor, transposed: Tensor, residual: Tensor | null, castBy: Tensor | null, ...g: Tensor[],
  ],
  readonly [dx: Tensor, dNorm: Tensor, copy: Tensor, copyTransposed: Tensor, ...dWeights: Tensor[]], GradAttrs
> = defineOp({
  name: "fp8NormLinearsGrad",
  infer: ([x, norm, , , , , castBy, ...g], { needsWeights }) => [
    { shape: x.shape, dtype: x.dtype }, { shape: norm.shape, dtype: "f32" }, ...fp8CopySpecs(x, castBy),
    ...g.map(({ shape }) => ({ shape: [needsWeights ? shape.at(-1)! : 0, norm.size], dtype: "f32" as const })),
  ],
  vjp: null,
  decompose: ([x, norm, inverseRms, scaling, transposed, residual, castBy, ...g], { eps, calibrate, needsWeights }) => {
    const gradient = fp8Cast(sideBySide(g), scaling, "gradient", calibrate);
    const dNormed = cast(reshape(fp8InputGradient(gradient, { transposed, scaling }), x.shape), x.dtype);
    const [dx, dNorm] = run(rmsNormGradOp, [dNormed, x, norm, inverseRms, residual], { eps });
    const copies = copiesOf(dx, castBy);
    if (!needsWeights) return [dx, dNorm, ...copies, ...g.map(() => zeros(x.device, [0, norm.size]))];
    const { normed } = fp8Norm(x, norm, scaling, { eps, calibrate });
    return [dx, dNorm, ...copies, ...split(fp8WeightGradient(gradient, normed), 0, g.map(({ shape }) => shape.at(-1)!))];
  },
});

/** A norm whose result is cast to fp8 before it is rounded to anything else. */
export function fp8Norm(
  x: Tensor, norm: Tensor, scaling: Tensor, { eps, calibrate }: NormLinearsAttrs,
): { readonly normed: Fp8Cast; readonly inverseRms: Tensor } {
  const [y, inverseRms] = rmsNormOp.decompose!([cast(x, "f32"), cast(norm, "f32")], { eps });
  return { normed: fp8Cast(rowsOf(y), scaling, "input", calibrate), inverseRms };
}

/** @throws ShapeError unless the norm's weight is `[C]` for x `[..., C]` */
export function checkNorm(name: string, x: Tensor, norm: Tensor): void {
  if (norm.shape.length === 1 && x.shape.at(-1) === norm.size) return;
  throw new ShapeError(`${name}: expected x [..., C] and a norm [C], got ${formatShape(x.shape)} and ${formatShape(norm.shape)}`);
}

/** Linear layers in fp8 of one normed input, which is cast once and never stored otherwise: `y_i = fp8Linear(rmsNorm(x), W_i)`,
 *  with one factor for all their weights and one for the gradients of all their results.
 *  @param x `[..., C]`  @param norm `[C]`, see `rmsNorm`  @param weights `[O_i, C]`  @param matrix the weights, one below the
 *  other, as `writeFp8` wrote them  @param options.eps see `rmsNorm`  @returns `[..., O_i]` each, dtype of x
 *  @throws ShapeError when sizes do not fit, DTypeError when types differ */
export function fp8NormLinears(
  x: Tensor, norm: Tensor, weights: readonly Tensor[], matrix: Fp8Matrix, { eps = 1e-5, calibrate = false }: Partial<NormLinearsAttrs> = {},
): Tensor[] {
  return scope(() => {
    const [, ...y] = run(fp8NormLinearsOp, [x, norm, matrix.scaling, matrix.rowwise, matrix.transposed, ...weights], { eps, calibrate });
    return y;
  });
}

import { isFloat } from "../dtype.ts";
import { DTypeError, ShapeError } from "../errors.ts";
import { pullback } from "../grad.ts";
import { defineOp, run, type Op } from "../op.ts";
import { scope } from "../scope.ts";
import { formatShape } from "../shape.ts";
import type { Tensor } from "../tensor.ts";
import { add } from "./add.ts";
import { cast } from "./cast.ts";
import { div } from "./div.ts";
import { mul } from "./mul.ts";
import { reshape } from "./reshape.ts";
import { sqrt } from "./sqrt.ts";
import { mean } from "./sum.ts";

/** Added under the root, same unit as x². */
export interface RmsNormAttrs {
  readonly eps: number;
}

type NormInputs = readonly [x: Tensor, weight: Tensor];
type NormOutputs = readonly [y: Tensor, inverseRms: Tensor];

export const rmsNormOp: Op<NormInputs, NormOutputs, RmsNormAttrs> = defineOp({
  name: "rmsNorm",
  infer: ([x, weight]) => {
    const C = x.shape.at(-1);
    if (C === undefined || weight.shape.length !== 1 || weight.shape[0] !== C) {
      throw new ShapeError(`rmsNorm: expected a weight of [${C ?? "C"}] for ${formatShape(x.shape)}, got ${formatShape(weight.shape)}`);
    }
    if (!isFloat(x.dtype) || weight.dtype !== x.dtype) throw new DTypeError(`rmsNorm: expected one float dtype, got ${x.dtype} and ${weight.dtype}`);
    return [{ shape: x.shape, dtype: x.dtype }, { shape: x.shape.slice(0, -1), dtype: "f32" }];
  },
  vjp: ([g], [x, weight], [, inverseRms], attrs, _, { arrived }) => (
    g === null ? [null, null] : run(rmsNormGradOp, [g, x, weight, inverseRms, arrived], attrs)
  ),
  decompose: ([x, weight], { eps }) => {
    const wide = cast(x, "f32");
    const inverseRms = div(1, sqrt(add(mean(mul(wide, wide), { axis: -1, keepDims: true }), eps)));
    const y = mul(mul(wide, inverseRms), cast(weight, "f32"));
    return [cast(y, x.dtype), reshape(inverseRms, x.shape.slice(0, -1))];
  },
  saves: { inputs: [0, 1], outputs: [1] },
  completes: 0,
});

/** Gradients of `rmsNorm`: of x in its dtype, with another gradient of x added in f32, and of the weight in f32. */
export const rmsNormGradOp: Op<
  readonly [g: Tensor, x: Tensor, weight: Tensor, inverseRms: Tensor, residual: Tensor | null], readonly [dx: Tensor, dWeight: Tensor], RmsNormAttrs
> = defineOp({
  name: "rmsNormGrad",
  infer: ([, x, weight]) => [{ shape: x.shape, dtype: x.dtype }, { shape: weight.shape, dtype: "f32" }],
  vjp: null,
  decompose: ([g, x, weight, , residual], attrs) => {
    const wide = [x, weight].map((one) => cast(one, "f32"));
    const parts = pullback((u, w) => [rmsNormOp.decompose!([u!, w!], attrs)[0]] as const, wide);
    const [dx, dWeight] = parts.pull([cast(g, "f32")]) as [Tensor, Tensor];
    return [cast(residual === null ? dx : add(dx, cast(residual, "f32")), x.dtype), dWeight];
  },
});

/** Root-mean-square norm over the last axis: `y = x / sqrt(mean(x²) + eps) · weight`. Zhang & Sennrich 2019.
 *  @param x `[..., C]`  @param weight `[C]`, dtype of x  @param eps added under the root, same unit as x²
 *  @returns `[..., C]`, dtype of x  @throws ShapeError if the weight is not `[C]` */
export function rmsNorm(x: Tensor, weight: Tensor, eps = 1e-5): Tensor {
  return scope(() => run(rmsNormOp, [x, weight], { eps })[0]);
}

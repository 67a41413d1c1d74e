import { ShapeError } from "../../errors.ts";
import { defineOp, run, type Op } from "../../op.ts";
import { scope } from "../../scope.ts";
import { formatShape } from "../../shape.ts";
import type { Tensor } from "../../tensor.ts";
import { add } from "../add.ts";
import { cast } from "../cast.ts";
import { concat } from "../concat.ts";
import { zeros } from "../full.ts";
import { reshape } from "../reshape.ts";
import { rmsNormGradOp, type RmsNormAttrs } from "../rms-norm.ts";
import { swigluGradOp, swigluOp } from "../swiglu.ts";
import { castGradient, copiesOf, fp8CopySpecs, type Fp8Copies } from "./fp8-copies.ts";
import { checkFp8Weights, type Fp8Matrix } from "./fp8-matrix.ts";
import { checkNorm, fp8Norm } from "./fp8-norm-linears.ts";
import { checkOneFloat, fp8InputGradient, fp8Product, fp8WeightGradient, rowsOf, split, type Fp8Attrs } from "./fp8-products.ts";
import { fp8Cast } from "./fp8-scaling.ts";

type FeedForwardAttrs = RmsNormAttrs & Fp8Attrs;

interface GradAttrs extends FeedForwardAttrs {
  /** Whether the gradients of the weights are wanted; else they come back empty. */
  readonly needsWeights: boolean;
}

export const fp8FeedForwardOp: Op<
  readonly [
    x: Tensor, norm: Tensor, gate: Tensor, up: Tensor, down: Tensor,
    scaling: Tensor, rowwise: Tensor, transposed: Tensor, downScaling: Tensor, downRowwise: Tensor, downTransposed: Tensor,
  ],
  readonly [y: Tensor, inverseRms: Tensor, gateUp: Tensor], FeedForwardAttrs
> = defineOp({
  name: "fp8FeedForward",
  infer: ([x, norm, gate, up, down, scaling, rowwise, transposed, downScaling, downRowwise, downTransposed]) => {
    checkNorm("fp8FeedForward", x, norm);
    checkOneFloat("fp8FeedForward", [x, norm, gate, up, down]);
    const [C, F] = [norm.size, gate.shape[0]!];
    if (gate.shape.join() !== `${F},${C}` || up.shape.join() !== `${F},${C}` || down.shape.join() !== `${C},${F}`) {
      const shapes = [gate, up, down].map(({ shape }) => formatShape(shape)).join(", ");
      throw new ShapeError(`fp8FeedForward: expected gate and up [F, ${C}] and down [${C}, F], got ${shapes}`);
    }
    checkFp8Weights("fp8FeedForward", { scaling, rowwise, transposed }, [gate, up]);
    checkFp8Weights("fp8FeedForward", { scaling: downScaling, rowwise: downRowwise, transposed: downTransposed }, [down]);
    const rows = x.shape.slice(0, -1);
    return [{ shape: x.shape, dtype: x.dtype }, { shape: rows, dtype: "f32" }, { shape: [...rows, 2 * F], dtype: x.dtype }];
  },
  vjp: ([g], [x, norm, , , , scaling, , transposed, downScaling, , downTransposed], [, inverseRms, gateUp], attrs, needs, beside) => {
    const none = [null, null, null, null, null, null] as const;
    if (g === null) return [null, null, null, null, null, ...none];
    const needed = needs.slice(2, 5);
    const { arrived, castBy, companions: [copy = null, copyTransposed = null] } = beside;
    const residual = arrived === null ? g : add(g, arrived);
    const inputs = [
      g, x, norm, inverseRms, gateUp, scaling, transposed, downScaling, downTransposed, copy, copyTransposed, residual, castBy,
    ] as const;
    const [dx, dNorm, dGate, dUp, dDown, ...copies] = run(fp8FeedForwardGradOp, inputs, { ...attrs, needsWeights: needed.some(Boolean) });
    const [ofGate, ofUp, ofDown] = [dGate, dUp, dDown].map((one, i) => (needed[i] === true ? one : null)) as [Tensor, Tensor, Tensor];
    return [dx, dNorm, ofGate, ofUp, ofDown, ...none, ...(castBy === null ? [] : copies)];
  },
  decompose: ([x, norm, , , , scaling, rowwise, , downScaling, downRowwise], attrs) => {
    const { normed, inverseRms } = fp8Norm(x, norm, scaling, attrs);
    const gateUp = cast(fp8Product(normed, { rowwise, scaling }), x.dtype);
    const h = fp8Cast(gated(gateUp), downScaling, "input", attrs.calibrate);
    const product = fp8Product(h, { rowwise: downRowwise, scaling: downScaling });
    const y = cast(add(reshape(product, x.shape), cast(x, "f32")), x.dtype);
    return [y, inverseRms, reshape(gateUp, [...x.shape.slice(0, -1), rowwise.shape[0]!])];
  },
  saves: { inputs: [0, 1, 5, 7, 8, 10], outputs: [1, 2] },
  completes: 0,
  castsGradient: ([, , , , , , , , downScaling], { calibrate }) => (calibrate ? null : downScaling),
});

/** Gradients of `fp8FeedForward`: of x in its dtype, with another gradient of x added and cast by the scaling that reads it, of norm
 *  and weights in f32. Results of products are rounded to the dtype of x; what is cast to fp8 within is not rounded before. */
export const fp8FeedForwardGradOp: Op<
  readonly [
    g: Tensor, x: Tensor, norm: Tensor, inverseRms: Tensor, gateUp: Tensor,
    scaling: Tensor, transposed: Tensor, downScaling: Tensor, downTransposed: Tensor,
    copy: Tensor | null, copyTransposed: Tensor | null, residual: Tensor, castBy: Tensor | null,
  ],
  readonly [dx: Tensor, dNorm: Tensor, dGate: Tensor, dUp: Tensor, dDown: Tensor, ...copies: Fp8Copies], GradAttrs
> = defineOp({
  name: "fp8FeedForwardGrad",
  infer: ([, x, norm, , , , transposed, , , , , , castBy], { needsWeights }) => {
    const [C, F] = [transposed.shape[0]!, transposed.shape[1]! / 2];
    const weights = [[F, C], [F, C], [C, F]].map(([O, I]) => ({ shape: [needsWeights ? O! : 0, I!], dtype: "f32" as const }));
    return [{ shape: x.shape, dtype: x.dtype }, { shape: norm.shape, dtype: "f32" }, weights[0]!, weights[1]!, weights[2]!, ...fp8CopySpecs(x, castBy)];
  },
  vjp: null,
  decompose: (
    [g, x, norm, inverseRms, gateUp, scaling, transposed, downScaling, downTransposed, copy, , residual, castBy], { eps, calibrate, needsWeights },
  ) => {
    const [C, F] = [norm.size, transposed.shape[1]! / 2];
    const upstream = castGradient(g, copy, downScaling, calibrate);
    const dH = cast(fp8InputGradient(upstream, { transposed: downTransposed, scaling: downScaling }), x.dtype);
    const [gate, up] = split(cast(rowsOf(gateUp), "f32"), 1, [F, F]) as [Tensor, Tensor];
    const dGateUp = concat(run(swigluGradOp, [cast(dH, "f32"), gate, up], null), 1);
    const gradient = fp8Cast(dGateUp, scaling, "gradient", calibrate);
    const dNormed = cast(reshape(fp8InputGradient(gradient, { transposed, scaling }), x.shape), x.dtype);
    const [dx, dNorm] = run(rmsNormGradOp, [dNormed, x, norm, inverseRms, residual], { eps });
    const copies = copiesOf(dx, castBy);
    if (!needsWeights) return [dx, dNorm, zeros(x.device, [0, C]), zeros(x.device, [0, C]), zeros(x.device, [0, F]), ...copies];
    const { normed } = fp8Norm(x, norm, scaling, { eps, calibrate });
    const [dGate, dUp] = split(fp8WeightGradient(gradient, normed), 0, [F, F]) as [Tensor, Tensor];
    const h = fp8Cast(gated(gateUp), downScaling, "input", calibrate);
    return [dx, dNorm, dGate, dUp, fp8WeightGradient(upstream, h), ...copies];
  },
});

/** `silu(gate) · up` of both side by side. @param gateUp `[..., 2F]`  @returns f32 `[rows, F]` */
function gated(gateUp: Tensor): Tensor {
  const F = gateUp.shape.at(-1)! / 2;
  const [gate, up] = split(cast(rowsOf(gateUp), "f32"), 1, [F, F]) as [Tensor, Tensor];
  return run(swigluOp, [gate, up], null)[0];
}

/** Weights of a feed-forward layer. */
export interface FeedForwardWeights {
  /** `[F, C]` */
  readonly gate: Tensor;
  /** `[F, C]` */
  readonly up: Tensor;
  /** `[C, F]` */
  readonly down: Tensor;
}

/** The feed-forward half of a block in fp8, with its norm and its residual: `y = x + (silu(n · gateᵀ) · (n · upᵀ)) · downᵀ` where
 *  `n = rmsNorm(x)`. What products read is cast as it is made; only gate and up are kept for the backward pass.
 *  Shazeer 2020; Micikevicius et al. 2022.
 *  @param x `[..., C]`  @param norm `[C]`, see `rmsNorm`  @param weights what gradients are of; their elements are read from the
 *  matrices  @param gateUp gate above up, as `writeFp8` wrote them  @param down as `writeFp8` wrote it
 *  @param options.eps see `rmsNorm`  @returns `[..., C]`, dtype of x
 *  @throws ShapeError when sizes do not fit, DTypeError when types differ */
export function fp8FeedForward(
  x: Tensor, norm: Tensor, weights: FeedForwardWeights, gateUp: Fp8Matrix, down: Fp8Matrix,
  { eps = 1e-5, calibrate = false }: Partial<FeedForwardAttrs> = {},
): Tensor {
  return scope(() => run(fp8FeedForwardOp, [
    x, norm, weights.gate, weights.up, weights.down,
    gateUp.scaling, gateUp.rowwise, gateUp.transposed, down.scaling, down.rowwise, down.transposed,
  ], { eps, calibrate })[0]);
}

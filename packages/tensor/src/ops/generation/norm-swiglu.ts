import { ShapeError } from "../../errors.ts";
import { defineOp, run, type Op } from "../../op.ts";
import { scope } from "../../scope.ts";
import { formatShape, sameShape } from "../../shape.ts";
import type { Tensor } from "../../tensor.ts";
import { linearOp } from "../linear.ts";
import { rmsNormOp, type RmsNormAttrs } from "../rms-norm.ts";
import { swigluOp } from "../swiglu.ts";

export const normSwigluOp: Op<readonly [x: Tensor, norm: Tensor, gate: Tensor, up: Tensor], readonly [Tensor], RmsNormAttrs> = defineOp({
  name: "normSwiglu",
  infer: ([x, norm, gate, up], attrs) => {
    rmsNormOp.infer([x, norm], attrs);
    if (!sameShape(gate.shape, up.shape)) {
      throw new ShapeError(`normSwiglu: expected two weights of one shape, got ${formatShape(gate.shape)} and ${formatShape(up.shape)}`);
    }
    linearOp.infer([x, up, null], null);
    return linearOp.infer([x, gate, null], null);
  },
  vjp: null,
  decompose: ([x, norm, gate, up], attrs) => {
    const [normed] = run(rmsNormOp, [x, norm], attrs);
    const linear = (weight: Tensor): Tensor => run(linearOp, [normed, weight, null], null)[0];
    return run(swigluOp, [linear(gate), linear(up)], null);
  },
});

/** The gated units of a feed-forward layer with its norm, where no gradient is asked for: `silu(n · gateᵀ) · (n · upᵀ)` where
 *  `n = rmsNorm(x)`. Shazeer 2020.
 *  @param x `[..., C]`  @param norm `[C]`, see `rmsNorm`  @param gate `[F, C]`  @param up `[F, C]`  @param eps see `rmsNorm`
 *  @returns `[..., F]`, dtype of x  @throws ShapeError when sizes do not fit, DTypeError when types differ */
export function normSwiglu(x: Tensor, norm: Tensor, gate: Tensor, up: Tensor, eps = 1e-5): Tensor {
  return scope(() => run(normSwigluOp, [x, norm, gate, up], { eps })[0]);
}

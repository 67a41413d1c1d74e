import { isFloat } from "../dtype.ts";
import { DTypeError, ShapeError } from "../errors.ts";
import { pullback } from "../grad.ts";
import { defineOp, run, type Op } from "../op.ts";
import { formatShape, sameShape } from "../shape.ts";
import type { Tensor } from "../tensor.ts";
import { cast } from "./cast.ts";
import { mul } from "./mul.ts";
import { silu } from "./silu.ts";

export const swigluOp: Op<readonly [gate: Tensor, up: Tensor], readonly [Tensor], null> = defineOp({
  name: "swiglu",
  infer: ([gate, up]) => {
    if (!sameShape(gate.shape, up.shape)) {
      throw new ShapeError(`swiglu: expected two tensors of one shape, got ${formatShape(gate.shape)} and ${formatShape(up.shape)}`);
    }
    if (!isFloat(gate.dtype) || gate.dtype !== up.dtype) throw new DTypeError(`swiglu: expected one float dtype, got ${gate.dtype} and ${up.dtype}`);
    return [{ shape: gate.shape, dtype: gate.dtype }];
  },
  vjp: ([g], [gate, up]) => (g === null ? [null, null] : run(swigluGradOp, [g, gate, up], null)),
  decompose: ([gate, up]) => [cast(mul(silu(cast(gate, "f32")), cast(up, "f32")), gate.dtype)],
});

/** Gradients of `swiglu` with respect to gate and up. */
export const swigluGradOp: Op<
  readonly [g: Tensor, gate: Tensor, up: Tensor], readonly [dGate: Tensor, dUp: Tensor], null
> = defineOp({
  name: "swigluGrad",
  infer: ([, gate, up]) => [{ shape: gate.shape, dtype: gate.dtype }, { shape: up.shape, dtype: up.dtype }],
  vjp: null,
  decompose: ([g, gate, up]) => {
    const { pull } = pullback((a, b) => swigluOp.decompose!([a!, b!], null), [gate, up]);
    return pull([g]) as [Tensor, Tensor];
  },
});

/** Gated unit of the Llama MLP: `silu(gate) · up`. Shazeer 2020, "GLU Variants Improve Transformer".
 *  @param gate `[..., F]`  @param up `[..., F]`  @returns `[..., F]`, computed in f32, dtype of gate
 *  @throws ShapeError when the shapes differ */
export function swiglu(gate: Tensor, up: Tensor): Tensor {
  return run(swigluOp, [gate, up], null)[0];
}

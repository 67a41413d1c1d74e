import {
  add, abs, defineUpdate, DTypeError, div, full, less, minimum, runUpdate, sqrt, assign, Tensor, where,
  type Update,
} from "@danu/tensor";

import { sumSquares } from "./sum-squares.ts";

export const clipScaleOp: Update<
  readonly [scale: Tensor, norm: Tensor, sumSquares: Tensor], { readonly maxNorm: number }
> = defineUpdate({
  name: "clipScale",
  check: (x) => {
    for (const { dtype, size } of x) if (dtype !== "f32" || size !== 1) throw new DTypeError("clipScale: expected single f32 numbers");
  },
  decompose: ([scale, norm, total], { maxNorm }) => {
    assign(norm, sqrt(total));
    const factor = minimum(div(maxNorm, add(norm, 1e-6)), 1);
    const infinity = full(norm.device, [], Infinity);
    assign(scale, where(less(abs(norm), infinity), factor, full(norm.device, [], NaN)));
  },
});

/** Global gradient norm and the factor that brings it to at most `maxNorm`, both on the device.
 *
 *  `norm = sqrt(Σ g²)`, `scale = min(1, maxNorm / (norm + 1e-6))`, as PyTorch's `clip_grad_norm_`; a norm that is not
 *  finite gives a scale that is NaN, on which `adamw` writes nothing.
 *  @param gradients f32  @param maxNorm same unit as the norm; Infinity only measures
 *  @returns f32 `[]` each */
export function clipScale(gradients: readonly Tensor[], maxNorm: number): { readonly norm: Tensor; readonly scale: Tensor } {
  const total = sumSquares(gradients);
  const [scale, norm] = [Tensor.empty(total.device, [], "f32"), Tensor.empty(total.device, [], "f32")];
  runUpdate(clipScaleOp, [scale, norm, total], { maxNorm });
  return { norm, scale };
}

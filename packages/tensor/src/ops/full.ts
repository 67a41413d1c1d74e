import type { Device } from "../device.ts";
import type { DType } from "../dtype.ts";
import { defineUpdate, runUpdate, type Update } from "../op.ts";
import { checkShape, type Shape } from "../shape.ts";
import { Tensor } from "../tensor.ts";

/** Primitive: sets every element of the tensor to one value. */
export const fillOp: Update<readonly [Tensor], { readonly value: number }> = defineUpdate({
  name: "fill", check: () => undefined, decompose: null,
});

/** A tensor with every element equal to `value`. */
export function full(device: Device, shape: Shape, value: number, dtype: DType = "f32"): Tensor {
  checkShape("full", shape);
  const y = Tensor.empty(device, shape, dtype);
  runUpdate(fillOp, [y], { value });
  return y;
}

/** A tensor of zeros. */
export function zeros(device: Device, shape: Shape, dtype: DType = "f32"): Tensor {
  return full(device, shape, 0, dtype);
}

/** A tensor of ones. */
export function ones(device: Device, shape: Shape, dtype: DType = "f32"): Tensor {
  return full(device, shape, 1, dtype);
}

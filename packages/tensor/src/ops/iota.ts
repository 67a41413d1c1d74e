import type { Device } from "../device.ts";
import type { DType } from "../dtype.ts";
import { defineUpdate, runUpdate, type Update } from "../op.ts";
import { checkShape } from "../shape.ts";
import { Tensor } from "../tensor.ts";

/** Primitive: writes start, start + step, … */
export const iotaOp: Update<readonly [Tensor], { readonly start: number; readonly step: number }> = defineUpdate({
  name: "iota", check: () => undefined, decompose: null,
});

/** `[start, start + step, …]` of the given length. */
export function iota(device: Device, length: number, options: { start?: number; step?: number; dtype?: DType } = {}): Tensor {
  const { start = 0, step = 1, dtype = "i32" } = options;
  checkShape("iota", [length]);
  const y = Tensor.empty(device, [length], dtype);
  runUpdate(iotaOp, [y], { start, step });
  return y;
}

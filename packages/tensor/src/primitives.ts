import type { Device } from "./device.ts";
import type { KernelOf } from "./op.ts";
import * as primitives from "./ops/primitives.ts";

/** One kernel for every primitive: a missing one does not compile. */
export type PrimitiveKernels = { readonly [Name in keyof typeof primitives]: KernelOf<(typeof primitives)[Name]> };

/** Gives a device its primitives. */
export function providePrimitives(device: Device, kernels: PrimitiveKernels): void {
  for (const name of Object.keys(primitives) as (keyof PrimitiveKernels)[]) {
    device.provide(primitives[name], kernels[name] as never);
  }
}

export { primitives };

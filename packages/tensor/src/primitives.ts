import type { Device } from "./device.ts";
import type { KernelOf } from "./op.ts";
import * as ops from "./ops/index.ts";

/** The ops every device must have a kernel for; everything else decomposes into these. */
export const primitives = {
  fill: ops.fillOp, iota: ops.iotaOp, assign: ops.assignOp, cast: ops.castOp,
  add: ops.addOp, sub: ops.subOp, mul: ops.mulOp, div: ops.divOp, maximum: ops.maximumOp, minimum: ops.minimumOp,
  less: ops.lessOp, lessEqual: ops.lessEqualOp, equal: ops.equalOp, where: ops.whereOp,
  neg: ops.negOp, abs: ops.absOp, exp: ops.expOp, log: ops.logOp, sqrt: ops.sqrtOp, sin: ops.sinOp, cos: ops.cosOp,
  tanh: ops.tanhOp, sigmoid: ops.sigmoidOp,
  sum: ops.sumOp, max: ops.maxOp, argmax: ops.argmaxOp,
  permute: ops.permuteOp, slice: ops.sliceOp, pad: ops.padOp, concat: ops.concatOp, broadcastTo: ops.broadcastToOp,
  matmul: ops.matmulOp, embedding: ops.embeddingOp, embeddingGrad: ops.embeddingGradOp,
} as const;

/** One kernel for every primitive: a missing one does not compile. */
export type PrimitiveKernels = { readonly [Name in keyof typeof primitives]: KernelOf<(typeof primitives)[Name]> };

/** Gives a device its primitives. */
export function providePrimitives(device: Device, kernels: PrimitiveKernels): void {
  for (const name of Object.keys(primitives) as (keyof PrimitiveKernels)[]) {
    device.provide(primitives[name], kernels[name] as never);
  }
}

import type { Tensor } from "@danu/tensor";

import type { LaunchShape } from "../launcher.ts";

/** Types that the fused kernels compute with; others take the decomposition. */
export type FusedDType = "f32" | "bf16";

/** The type of a tensor that `isFused` has let through. */
export function fusedType(x: Tensor): FusedDType {
  return x.dtype as FusedDType;
}

/** Whether the fused kernels have the types of all these tensors. */
export function isFused(...x: readonly Tensor[]): boolean {
  return x.every(({ dtype }) => dtype === "f32" || dtype === "bf16");
}

const THREADS = 256;

/** Launch of a kernel over the elements of a flat tensor, of which each thread takes `run`; see elements.cuh. */
export function flat(elements: number, run = 8): LaunchShape {
  return { grid: [Math.ceil(elements / (THREADS * run))], block: THREADS };
}

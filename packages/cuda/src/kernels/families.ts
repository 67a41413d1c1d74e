import type { DType } from "@danu/tensor";

import { defineKernel, type Kernel } from "../kernel.ts";

/** Threads of a block of the primitives' kernels. */
export const threads = 256;

/** Kernels that differ in the end of their names: `NAME_f32`, `NAME_bf16` and so on. */
export function kernelFamily<const S extends string, V extends string | number>(
  file: string, name: string, signature: S, variants: readonly V[],
): Readonly<Record<V, Kernel<S>>> {
  return Object.fromEntries(variants.map((variant) => [variant, defineKernel(file, `${name}_${variant}`, signature)])) as Record<V, Kernel<S>>;
}

/** The types of floats, which the ops of one operand have let through. */
export type FloatType = Exclude<DType, "i32" | "u8">;
export const floatTypes: readonly FloatType[] = ["f32", "bf16", "f16", "f8e4m3", "f8e5m2"];

/** Bytes of an element. */
export type ElementBytes = 1 | 2 | 4;
export const elementBytes: readonly ElementBytes[] = [1, 2, 4];

/** Bytes that are moved at a time. */
export type Unit = ElementBytes | 8 | 16;
export const units: readonly Unit[] = [1, 2, 4, 8, 16];

/** The largest unit that all these distances, in bytes, are multiples of. */
export function unitOf(distances: readonly number[]): Unit {
  return units.findLast((unit) => distances.every((distance) => distance % unit === 0)) ?? 1;
}

import type { DType } from "@danu/tensor";

import { defineKernel, type Kernel } from "../kernel.ts";

/** Threads of a block of the primitives' kernels. */
export const threads = 256;

/** One kernel for each element type: `NAME_f32`, `NAME_bf16` and so on. */
export function kernelsByType<const S extends string>(file: string, name: string, signature: S): Readonly<Record<DType, Kernel<S>>> {
  const kernel = (dtype: DType): Kernel<S> => defineKernel(file, `${name}_${dtype}`, signature);
  return {
    f32: kernel("f32"), bf16: kernel("bf16"), f16: kernel("f16"), f8e4m3: kernel("f8e4m3"), f8e5m2: kernel("f8e5m2"),
    i32: kernel("i32"), u8: kernel("u8"),
  };
}

/** Bytes that are moved at a time. */
export type Unit = 1 | 2 | 4 | 8 | 16;

/** One kernel for each number of bytes that are moved at a time: `NAME_1`, `NAME_2` and so on. */
export function kernelsByUnit<const S extends string>(file: string, name: string, signature: S): Readonly<Record<Unit, Kernel<S>>> {
  const kernel = (unit: Unit): Kernel<S> => defineKernel(file, `${name}_${unit}`, signature);
  return { 1: kernel(1), 2: kernel(2), 4: kernel(4), 8: kernel(8), 16: kernel(16) };
}

/** The largest unit that all these distances, in bytes, are multiples of. */
export function unitOf(distances: readonly number[]): Unit {
  return ([16, 8, 4, 2] as const).find((unit) => distances.every((distance) => distance % unit === 0)) ?? 1;
}

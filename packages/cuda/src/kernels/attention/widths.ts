import { defineKernel, type Kernel } from "../../kernel.ts";

// Columns that kernels are made for; a head of D channels takes the first that is not below D.
const widths = [64, 80, 96, 112, 128] as const;

/** Columns of a tile of queries, keys or values. */
export type Width = (typeof widths)[number];

/** Most channels of a head that a width is not below. */
export const mostChannels: number = widths.at(-1)!;

/** The width for heads of D channels. */
export function widthOf(D: number): Width {
  return widths.find((width) => width >= D)!;
}

type ByWidth<S extends string> = Readonly<Record<Width, Kernel<S>>>;

/** `NAME_bf16_64` and so on. */
export function kernelsByWidth<const S extends string>(file: string, name: string, signature: S): Readonly<Record<"bf16" | "f16", ByWidth<S>>> {
  const kernels = (dtype: "bf16" | "f16"): ByWidth<S> => {
    const kernel = (width: Width): Kernel<S> => defineKernel(file, `${name}_${dtype}_${width}`, signature);
    return { 64: kernel(64), 80: kernel(80), 96: kernel(96), 112: kernel(112), 128: kernel(128) };
  };
  return { bf16: kernels("bf16"), f16: kernels("f16") };
}

/** Bytes of `rows` rows of a tile in shared memory; see `STRIDE` of attention-portable.cuh. */
export function tileBytes(rows: number, width: Width): number {
  return rows * (width + 8) * 2;
}

/** Shared memory of attention of few queries over a cache: 16 rows of queries, two stages of 16 keys and values for each of four
 *  warps, and log-sum-exps. */
export function decodeSharedBytes(width: Width): number {
  return tileBytes(272, width) + 256;
}

import { bytesPerElement, type Handle } from "@danu/tensor";

import type { CudaDevice } from "../../device.ts";
import { defineKernel, type ArgumentsOf, type Kernel } from "../../kernel.ts";
import { flat } from "../flat.ts";
import { mostFewRows } from "../generation/few-rows.ts";
import { rowStepsOf, type Operand, type Product } from "./product.ts";

/** `Product` of matmul.cuh: pointers, strides, sizes, leading dimensions, parts, whether the result is wide, alpha. */
export const portableSignature = "(ppppppllliiiiiiiif)";

function kernelsOfType<const S extends string>(name: (dtype: Operand) => string, types: S): Readonly<Record<Operand, Kernel<S>>> {
  const kernel = (dtype: Operand): Kernel<S> => defineKernel("matmul", name(dtype), types);
  return { f32: kernel("f32"), bf16: kernel("bf16"), f16: kernel("f16") };
}

// By how a and b are stored, n as the formula has them, t transposed.
const tiled = {
  nn: kernelsOfType((dtype) => `matmul_${dtype}_nn`, portableSignature),
  nt: kernelsOfType((dtype) => `matmul_${dtype}_nt`, portableSignature),
  tn: kernelsOfType((dtype) => `matmul_${dtype}_tn`, portableSignature),
  tt: kernelsOfType((dtype) => `matmul_${dtype}_tt`, portableSignature),
};
const fewRows = defineKernel("matmul", "matmul_rows_f32_nt", portableSignature);
const combine = kernelsOfType((dtype) => `matmul_combine_${dtype}`, "pppiii");

const TILE = 128;
const sharedBytes: Readonly<Record<Operand, number>> = { f32: 0, bf16: 49_152, f16: 49_152 };
const FEW_ROWS_LINES = 16;
// Blocks that a product of few tiles is divided into at most, and the least k of each: shapes alone decide, so that sums keep
// their order on every chip.
const PARTED_BLOCKS = 128;
const LEAST_PART = 512;

/** Enqueues products by the kernels that every GPU runs. */
export function multiplyPortable(cuda: CudaDevice, product: Product): void {
  const { y, residual, dtype, result, M, N, K, layout, count } = product;
  if (M <= mostFewRows && layout === "nt" && dtype === "f32") {
    const grid = [Math.ceil(N / FEW_ROWS_LINES) * count] as const;
    return cuda.launch(fewRows, { grid, block: 256 }, ...argumentsOf(product, y, residual, 1, result));
  }
  const tiles = Math.ceil(M / TILE) * Math.ceil(N / TILE) * count;
  const parts = Math.max(1, Math.min(Math.floor(PARTED_BLOCKS / tiles), Math.floor(K / LEAST_PART)));
  const launch = (to: Handle, added: Handle, type: Operand): void => {
    const shape = { grid: [tiles * parts], block: 256, shared: sharedBytes[dtype] } as const;
    cuda.launch(tiled[layout][dtype], shape, ...argumentsOf(product, to, added, parts, type));
  };
  if (parts === 1) return launch(y, residual, result);
  return cuda.withScratch(count * parts * M * N * bytesPerElement.f32, (partial) => {
    launch(partial, 0, "f32");
    cuda.launch(combine[result], flat(count * M * N), y, partial, residual, M * N, count, parts);
  });
}

function argumentsOf(product: Product, y: Handle, residual: Handle, parts: number, result: Operand): ArgumentsOf<typeof portableSignature> {
  const { a, b, M, N, K, steps, dtype } = product;
  return [
    y, a, b, residual, 0, 0, steps[0] * M * K, steps[1] * K * N, parts * M * N,
    M, N, K, ...rowStepsOf(product), N, parts, Number(result !== dtype), 1,
  ];
}

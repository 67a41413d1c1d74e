import { bytesPerElement, type Handle } from "@danu/tensor";

import type { CudaDevice } from "../device.ts";
import { defineKernel, type ArgumentsOf, type Kernel } from "../kernel.ts";
import { flat } from "./flat.ts";

/** Types that products take. */
export type Operand = "f32" | "bf16" | "f16";

/** Products `y = op(a) · op(b) + residual` of dense matrices, `count` of them at even distances. */
export interface Product {
  readonly y: Handle;
  readonly a: Handle;
  readonly b: Handle;
  /** Laid out as y and of its type, 0 for none. */
  readonly residual: Handle;
  /** Type of a and b. */
  readonly dtype: Operand;
  /** Type of y: that of the operands, or f32. */
  readonly result: Operand;
  readonly M: number;
  readonly N: number;
  readonly K: number;
  readonly transposeA: boolean;
  readonly transposeB: boolean;
  readonly count: number;
  /** Elements from one row of a, as it is stored, to the next; those of a dense matrix where left out. */
  readonly rowStepA?: number;
  /** Matrices of a and of b from one product to the next; 0 for the same one again. */
  readonly steps: readonly [a: number, b: number];
}

// matmul::Product of matmul.cuh: pointers, strides, sizes, leading dimensions, parts, whether the result is wide, alpha.
const signature = "(ppppppllliiiiiiiif)";
type Signature = typeof signature;

function kernelsOfType<const S extends string>(name: (dtype: Operand) => string, types: S): Readonly<Record<Operand, Kernel<S>>> {
  const kernel = (dtype: Operand): Kernel<S> => defineKernel("matmul", name(dtype), types);
  return { f32: kernel("f32"), bf16: kernel("bf16"), f16: kernel("f16") };
}

// By how a and b are stored, n as the formula has them, t transposed.
const tiled = {
  nn: kernelsOfType((dtype) => `matmul_${dtype}_nn`, signature),
  nt: kernelsOfType((dtype) => `matmul_${dtype}_nt`, signature),
  tn: kernelsOfType((dtype) => `matmul_${dtype}_tn`, signature),
  tt: kernelsOfType((dtype) => `matmul_${dtype}_tt`, signature),
};
const fewRows = kernelsOfType((dtype) => `matmul_rows_${dtype}_nt`, signature);
const combine = kernelsOfType((dtype) => `matmul_combine_${dtype}`, "ppplii");

const TILE = 128;
const sharedBytes: Readonly<Record<Operand, number>> = { f32: 0, bf16: 49_152, f16: 49_152 };
const MOST_FEW_ROWS = 16;
const FEW_ROWS_LINES = 16;
// Blocks that a product of few tiles is divided into at most, and the least k of each: shapes alone decide, so that sums keep
// their order on every chip.
const PARTED_BLOCKS = 128;
const LEAST_PART = 512;

/** Enqueues products by the kernels that every GPU runs. */
export function multiplyPortable(cuda: CudaDevice, product: Product): void {
  const { y, residual, dtype, result, M, N, K, count } = product;
  if (M * N * count === 0) return;
  // A single row or column lies in memory as its transposed does.
  const transposeA = isTransposedA(product);
  const transposeB = product.transposeB || N === 1;
  if (M <= MOST_FEW_ROWS && !transposeA && transposeB) {
    const grid = [Math.ceil(N / FEW_ROWS_LINES) * count] as const;
    return cuda.launch(fewRows[dtype], { grid, block: 256 }, ...argumentsOf(product, y, residual, 1, result));
  }
  const tiles = Math.ceil(M / TILE) * Math.ceil(N / TILE) * count;
  const parts = Math.max(1, Math.min(Math.floor(PARTED_BLOCKS / tiles), Math.floor(K / LEAST_PART)));
  const launch = (to: Handle, added: Handle, type: Operand): void => {
    const kernel = tiled[`${transposeA ? "t" : "n"}${transposeB ? "t" : "n"}`][dtype];
    cuda.launch(kernel, { grid: [tiles * parts], block: 256, shared: sharedBytes[dtype] }, ...argumentsOf(product, to, added, parts, type));
  };
  if (parts === 1) return launch(y, residual, result);
  return cuda.withScratch(count * parts * M * N * bytesPerElement.f32, (partial) => {
    launch(partial, 0, "f32");
    cuda.launch(combine[result], flat(count * M * N), y, partial, residual, M * N, count, parts);
  });
}

function isTransposedA({ transposeA, M, rowStepA }: Product): boolean {
  return transposeA && (M > 1 || rowStepA !== undefined);
}

function argumentsOf(product: Product, y: Handle, residual: Handle, parts: number, result: Operand): ArgumentsOf<Signature> {
  const { a, b, M, N, K, transposeB, steps, dtype, rowStepA = isTransposedA(product) ? M : K } = product;
  return [
    y, a, b, residual, 0, 0, steps[0] * M * K, steps[1] * K * N, parts * M * N,
    M, N, K, rowStepA, transposeB || N === 1 ? K : N, N, parts, Number(result !== dtype), 1,
  ];
}

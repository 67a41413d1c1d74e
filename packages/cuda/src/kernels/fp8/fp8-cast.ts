import {
  bytesPerElement, fp8Columns, fp8Padded, fp8Rows, fp8Types, type fp8UpdateOp, type Fp8Row, type Handle, type KernelOf, type Tensor,
} from "@danu/tensor";

import { cudaOf, type CudaDevice } from "../../device.ts";
import { defineKernel } from "../../kernel.ts";
import { flat } from "../flat.ts";

const quantiseTo = {
  f8e4m3: defineKernel("quantise", "quantise_e4m3", "pppppiiii"),
  f8e5m2: defineKernel("quantise", "quantise_e5m2", "pppppiiii"),
};
const quantiseNormedKernel = defineKernel("quantise", "quantise_normed_e4m3", "pppppppiiii");
const largest = defineKernel("fp8-scaling", "fp8_largest", "ppl");
const calibrateFactor = defineKernel("fp8-scaling", "fp8_calibrate", "pf");
const mostScalings = 256;
const update = defineKernel("fp8-scaling", "fp8_update", `([${mostScalings} p]i)ff`);

const [TILE_ROWS, TILE_COLUMNS] = [128, 64];
const sharedBytes = 8224;

/** By which row of a scaling a tensor is cast. */
export interface Fp8Factor {
  readonly scaling: Tensor;
  readonly row: Fp8Row;
  /** Scale by the tensor's own largest magnitude instead of the row's factor. */
  readonly calibrate: boolean;
}

/** Where the kernel of a cast finds its factor, f32 `[1]` each, and notes the largest magnitude. */
export interface Fp8Scale {
  readonly scale: Handle;
  /** What undoes the factor. */
  readonly inverse: Handle;
  readonly amax: Handle;
}

/** Where a number of a scaling lies. */
export function addressIn(scaling: Tensor, row: Fp8Row, column: keyof typeof fp8Columns): Handle {
  return scaling.handle + (fp8Rows.indexOf(row) * fp8Columns.count + fp8Columns[column]) * bytesPerElement.f32;
}

/** What undoes the factor of the weights, f32 `[1]`. */
export function weightInverse(scaling: Tensor): Handle {
  return addressIn(scaling, "weight", "inverse");
}

/** Runs `f` with the factor of a cast.
 *  @param measure enqueues what raises a number to the largest magnitude of the tensor, where its own factor is wanted */
export function withScale(
  cuda: CudaDevice, { scaling, row, calibrate }: Fp8Factor, measure: (amax: Handle) => void, f: (scale: Fp8Scale) => void,
): void {
  const amax = addressIn(scaling, row, "amax");
  if (!calibrate) return f({ scale: addressIn(scaling, row, "scale"), inverse: addressIn(scaling, row, "inverse"), amax });
  const at = (column: keyof typeof fp8Columns): number => fp8Columns[column] * bytesPerElement.f32;
  return cuda.withScratch(at("history"), (own) => {
    cuda.fill(own, 0, 4, fp8Columns.history);
    measure(own + at("amax"));
    cuda.launch(calibrateFactor, { grid: [1], block: 1 }, own, fp8Types[row].limit);
    f({ scale: own + at("scale"), inverse: own + at("inverse"), amax });
  });
}

/** A matrix in bf16. */
export interface Matrix {
  readonly x: Handle;
  readonly rows: number;
  readonly columns: number;
}

/** Where the copies of a matrix go; 0 for one that is not wanted. */
export interface CopyPlaces {
  /** `[rows, columns]`, its rows `pitch` apart: `columns` where they are left out. */
  readonly rowwise: Handle;
  readonly pitch?: number;
  /** `[columns, fp8Padded(rows)]`, zero beyond the rows. */
  readonly transposed: Handle;
}

/** Raises a number to the largest magnitude of a matrix. */
export function measure(cuda: CudaDevice, { x, rows, columns }: Matrix, amax: Handle): void {
  cuda.launch(largest, flat(rows * columns), x, amax, rows * columns);
}

/** Casts a matrix and notes its largest magnitude. */
export function quantise(
  cuda: CudaDevice, row: Fp8Row, { x, rows, columns }: Matrix, { rowwise, pitch = columns, transposed }: CopyPlaces,
  { scale, amax }: Pick<Fp8Scale, "scale" | "amax">,
): void {
  cuda.launch(quantiseTo[fp8Types[row].dtype], tiles(rows, columns), x, rowwise, transposed, amax, scale, rows, columns, pitch, fp8Padded(rows));
}

/** A gradient that an op reads, and the copies that came with it. */
export interface Arrived {
  readonly gradient: Matrix;
  readonly copy: Tensor | null;
  readonly copyTransposed: Tensor | null;
}

/** Runs `f` with the copies of a gradient, which came with it or are made now, and with what undoes their factor.
 *  @param needs copies that are wanted */
export function withCopies(
  cuda: CudaDevice, { gradient, copy, copyTransposed }: Arrived, { scaling, calibrate }: Pick<Fp8Factor, "scaling" | "calibrate">,
  needs: { readonly rowwise: boolean; readonly transposed: boolean }, f: (copies: CopyPlaces, inverse: Handle) => void,
): void {
  if (copy !== null && copyTransposed !== null) {
    return f({ rowwise: copy.handle, transposed: copyTransposed.handle }, addressIn(scaling, "gradient", "inverse"));
  }
  const { rows, columns } = gradient;
  cuda.withPieces([needs.rowwise ? rows * columns : 0, needs.transposed ? columns * fp8Padded(rows) : 0], (rowwise, transposed) => (
    withScale(cuda, { scaling, row: "gradient", calibrate }, (amax) => measure(cuda, gradient, amax), (scale) => {
      const copies = { rowwise: needs.rowwise ? rowwise : 0, transposed: needs.transposed ? transposed : 0 };
      quantise(cuda, "gradient", gradient, copies, scale);
      f(copies, scale.inverse);
    })
  ));
}

/** Where the copies of a matrix go, by which factor, and what is raised to its largest magnitude. */
export type CastPlaces = CopyPlaces & Pick<Fp8Scale, "scale" | "amax">;

/** Where a gradient is cast for the op that reads it; undefined where no copies are wanted. */
export function copiesTo(rowwise: Tensor, transposed: Tensor, castBy: Tensor | null): CastPlaces | undefined {
  if (castBy === null) return undefined;
  const [scale, amax] = [addressIn(castBy, "gradient", "scale"), addressIn(castBy, "gradient", "amax")];
  return { rowwise: rowwise.handle, transposed: transposed.handle, scale, amax };
}

/** Casts what a norm makes of a matrix, or without a factor only raises a number to its largest magnitude.
 *  @param rstd f32 `[rows]`  @param weight bf16 `[columns]` */
export function quantiseNormed(
  cuda: CudaDevice, { x, rstd, weight, rows, columns }: Matrix & { readonly rstd: Handle; readonly weight: Handle },
  transposed: Handle, { scale, amax }: Pick<Fp8Scale, "scale" | "amax">,
): void {
  cuda.launch(quantiseNormedKernel, tiles(rows, columns), x, rstd, weight, 0, transposed, amax, scale, rows, columns, columns, fp8Padded(rows));
}

function tiles(rows: number, columns: number): { readonly grid: readonly [number]; readonly block: number; readonly shared: number } {
  return { grid: [Math.ceil(rows / TILE_ROWS) * Math.ceil(columns / TILE_COLUMNS)], block: 256, shared: sharedBytes };
}

export const fp8Update: KernelOf<typeof fp8UpdateOp> = (scalings, { margin }) => {
  const { input, gradient } = fp8Types;
  for (let at = 0; at < scalings.length; at += mostScalings) {
    const some = scalings.slice(at, at + mostScalings);
    cudaOf(some[0]!).launch(
      update, { grid: [some.length], block: 32 }, some.map(({ handle }) => [handle] as const), some.length, input.limit * margin, gradient.limit * margin,
    );
  }
};

import { bytesPerElement, fp8Columns, fp8Rows, fp8Types, type fp8UpdateOp, type Fp8Row, type Handle, type KernelOf, type Tensor } from "@danu/tensor";

import { cudaOf, type CudaDevice } from "../device.ts";
import { defineKernel } from "../kernel.ts";
import { flat } from "./flat.ts";

const quantise = {
  f8e4m3: defineKernel("quantise", "quantise_e4m3", "pppppiiii"),
  f8e5m2: defineKernel("quantise", "quantise_e5m2", "pppppiiii"),
};
const largest = defineKernel("fp8-scaling", "fp8_largest", "ppl");
const calibrate = defineKernel("fp8-scaling", "fp8_calibrate", "pf");
const update = defineKernel("fp8-scaling", "fp8_update", "pff");

const TILE = 128;
const sharedBytes = 16_448;

/** A matrix of bf16 that is cast to fp8, and by which row of its layer's scaling. */
export interface Fp8Source {
  readonly x: Handle;
  readonly rows: number;
  readonly columns: number;
  readonly scaling: Tensor;
  readonly row: Fp8Row;
  /** Scale by its own largest magnitude instead of the row's factor. */
  readonly calibrate: boolean;
}

/** Where a cast matrix lies; null where it was not asked for. */
export interface Fp8Copies {
  /** `[rows, columns]` */
  readonly rowwise: Handle | null;
  /** `[columns, stride]`, zero beyond the rows. */
  readonly transposed: Handle | null;
  /** The rows rounded up to a multiple of 16. */
  readonly stride: number;
  /** The factor that undoes the scale, f32 `[1]`. */
  readonly inverse: Handle;
}

/** Casts a matrix, notes its largest magnitude in the scaling, and runs `f` with the copies it asks for. */
export function withFp8(
  cuda: CudaDevice, source: Fp8Source, wanted: { readonly rowwise: boolean; readonly transposed: boolean }, f: (copies: Fp8Copies) => void,
): void {
  const { x, rows, columns, scaling, row } = source;
  const stride = Math.ceil(rows / 16) * 16;
  const rowBytes = fp8Columns.count * bytesPerElement.f32;
  const noted = scaling.handle + fp8Rows.indexOf(row) * rowBytes;
  const bytes = (isWanted: boolean, count: number): number => (isWanted ? count : 0);
  cuda.withScratch(bytes(wanted.rowwise, rows * columns), (rowwise) => (
    cuda.withScratch(bytes(wanted.transposed, columns * stride), (transposed) => withFactor(cuda, source, noted, (factor) => {
      const copies = [wanted.rowwise ? rowwise : 0, wanted.transposed ? transposed : 0] as const;
      const shape = { grid: [Math.ceil(rows / TILE) * Math.ceil(columns / TILE)], block: 512, shared: sharedBytes } as const;
      const amax = noted + fp8Columns.amax * bytesPerElement.f32;
      cuda.launch(quantise[fp8Types[row].dtype], shape, x, ...copies, amax, factor, rows, columns, columns, stride);
      f({
        rowwise: wanted.rowwise ? rowwise : null, transposed: wanted.transposed ? transposed : null, stride,
        inverse: factor + fp8Columns.inverse * bytesPerElement.f32,
      });
    }))
  ));
}

/** Runs `f` with the address of a factor and its inverse. */
function withFactor(cuda: CudaDevice, { x, rows, columns, row, calibrate: own }: Fp8Source, noted: Handle, f: (factor: Handle) => void): void {
  if (!own) return f(noted);
  const count = fp8Columns.amax + 1;
  return cuda.withScratch(count * bytesPerElement.f32, (factor) => {
    cuda.fill(factor, 0, 4, count);
    cuda.launch(largest, flat(rows * columns), x, factor + fp8Columns.amax * bytesPerElement.f32, rows * columns);
    cuda.launch(calibrate, { grid: [1], block: 1 }, factor, fp8Types[row].limit);
    f(factor);
  });
}

export const fp8Update: KernelOf<typeof fp8UpdateOp> = ([scaling], { margin }) => {
  const { input, gradient } = fp8Types;
  cudaOf(scaling).launch(update, { grid: [1], block: 32 }, scaling.handle, input.limit * margin, gradient.limit * margin);
};

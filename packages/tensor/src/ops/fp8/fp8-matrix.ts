import type { Device } from "../../device.ts";
import { DTypeError, ShapeError } from "../../errors.ts";
import { defineUpdate, runUpdate, type Update } from "../../op.ts";
import { keep } from "../../scope.ts";
import { formatShape } from "../../shape.ts";
import type { Tensor } from "../../tensor.ts";
import { assignSlice } from "../assign-slice.ts";
import { zeros } from "../full.ts";
import { maximum } from "../maximum.ts";
import { transpose } from "../permute.ts";
import { checkScaling, factorOf, fp8Margin, fp8Scaling, largestMagnitude, noteMagnitude, setFactor, toFp8 } from "./fp8-scaling.ts";

/** Weights that products read in fp8: one matrix, or several that read the same input, one below the other. */
export interface Fp8Matrix {
  /** Factors and magnitudes of input, weights and gradient, f32 `[3, 20]`; see `fp8Scaling`. */
  readonly scaling: Tensor;
  /** The weights times their factor, f8e4m3 `[O, C]`. */
  readonly rowwise: Tensor;
  /** The same transposed, f8e4m3 `[C, O]`: gradients of inputs read them. */
  readonly transposed: Tensor;
}

/** Rows of a matrix that a weight takes. */
export interface Fp8Place {
  readonly matrix: Fp8Matrix;
  /** The first of them. */
  readonly row: number;
}

/** A matrix of zeros, without a history. The caller owns it, and writes the weights by `writeFp8`. */
export function fp8Matrix(device: Device, O: number, C: number): Fp8Matrix {
  return {
    scaling: fp8Scaling(device),
    rowwise: keep(zeros(device, [O, C], "f8e4m3")),
    transposed: keep(zeros(device, [C, O], "f8e4m3")),
  };
}

/** How weights are written. */
export interface WriteFp8Attrs {
  /** Take the factor from the weights themselves, as before the first update; else the one in force is used. */
  readonly calibrate: boolean;
  /** Room left for magnitudes that grow, where the factor is taken from the weights. */
  readonly margin: number;
}

export const writeFp8Op: Update<
  readonly [scaling: Tensor, rowwise: Tensor, transposed: Tensor, ...weights: Tensor[]], WriteFp8Attrs
> = defineUpdate({
  name: "writeFp8",
  check: ([scaling, rowwise, transposed, ...weights]) => {
    checkFp8Weights("writeFp8", { scaling, rowwise, transposed }, weights);
  },
  decompose: ([scaling, rowwise, transposed, ...weights], { calibrate, margin }) => {
    if (calibrate) setFactor(scaling, "weight", weights.map(largestMagnitude).reduce((a, b) => maximum(a, b)), margin);
    let row = 0;
    for (const weight of weights) {
      writeFp8Rows({ scaling, rowwise, transposed }, weight, row);
      row += weight.shape[0]!;
    }
  },
});

/** Writes weights into a matrix, and notes their largest magnitude for the next `fp8Update`.
 *  @param weights `[O_i, C]`, one below the other  @param margin see `fp8Update`
 *  @throws ShapeError when they do not fill the matrix */
export function writeFp8(matrix: Fp8Matrix, weights: readonly Tensor[], { calibrate = false, margin = fp8Margin }: Partial<WriteFp8Attrs> = {}): void {
  runUpdate(writeFp8Op, [matrix.scaling, matrix.rowwise, matrix.transposed, ...weights], { calibrate, margin });
}

/** Writes weights from one row of a matrix on, in simpler ops. @param weight `[O_i, C]` */
export function writeFp8Rows({ scaling, rowwise, transposed }: Fp8Matrix, weight: Tensor, row: number): void {
  noteMagnitude(scaling, "weight", largestMagnitude(weight));
  const numbers = toFp8(weight, factorOf(scaling, "weight", "scale"), "weight");
  assignSlice(rowwise, numbers, 0, row);
  assignSlice(transposed, transpose(numbers), 1, row);
}

/** @throws ShapeError or DTypeError unless `fp8Matrix` could have made it */
export function checkFp8Matrix(name: string, { scaling, rowwise, transposed }: Fp8Matrix): void {
  checkScaling(name, scaling);
  const [O, C] = rowwise.shape;
  if (rowwise.shape.length !== 2 || transposed.shape.join() !== `${C},${O}`) {
    throw new ShapeError(`${name}: expected a matrix [O, C] and its transpose, got ${formatShape(rowwise.shape)} and ${formatShape(transposed.shape)}`);
  }
  if (rowwise.dtype !== "f8e4m3" || transposed.dtype !== "f8e4m3") {
    throw new DTypeError(`${name}: expected a matrix of f8e4m3, as fp8Matrix makes it, got ${rowwise.dtype} and ${transposed.dtype}`);
  }
}

/** @throws ShapeError or DTypeError unless the matrix is one, and `weights` fill it */
export function checkFp8Weights(name: string, matrix: Fp8Matrix, weights: readonly Tensor[]): void {
  checkFp8Matrix(name, matrix);
  const [O, C] = matrix.rowwise.shape;
  const rows = weights.reduce((sum, weight) => sum + weight.shape[0]!, 0);
  if (rows === O && weights.every(({ shape }) => shape.length === 2 && shape[1] === C)) return;
  const shapes = weights.map(({ shape }) => formatShape(shape)).join(", ");
  throw new ShapeError(`${name}: expected weights that fill a matrix ${formatShape(matrix.rowwise.shape)}, got ${shapes}`);
}

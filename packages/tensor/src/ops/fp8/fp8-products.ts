import { isFloat } from "../../dtype.ts";
import { DTypeError } from "../../errors.ts";
import { sizeOf, type Shape } from "../../shape.ts";
import type { Tensor } from "../../tensor.ts";
import { cast } from "../cast.ts";
import { concat } from "../concat.ts";
import { matmul } from "../matmul.ts";
import { mul } from "../mul.ts";
import { reshape } from "../reshape.ts";
import { slice } from "../slice.ts";
import type { Fp8Matrix } from "./fp8-matrix.ts";
import { factorOf, type Fp8Cast } from "./fp8-scaling.ts";

// What the fp8 ops decompose into, beside the casts.

/** How the operands of an op are scaled that are cast when it runs. */
export interface Fp8Attrs {
  /** Scale each by its own largest magnitude, as before the first update; else by the scaling's factors. */
  readonly calibrate: boolean;
}

/** `x · weightsᵀ` of cast numbers. @param x of `[M, C]`  @returns f32 `[M, O]` */
export function fp8Product(x: Fp8Cast, { rowwise, scaling }: Pick<Fp8Matrix, "rowwise" | "scaling">): Tensor {
  const product = matmul(x.values, cast(rowwise, "f32"), { transposeB: true });
  return mul(product, mul(x.inverse, factorOf(scaling, "weight", "inverse")));
}

/** `g · weights` of cast numbers. @param g of `[M, O]`  @returns f32 `[M, C]` */
export function fp8InputGradient(g: Fp8Cast, { transposed, scaling }: Pick<Fp8Matrix, "transposed" | "scaling">): Tensor {
  const product = matmul(g.values, cast(transposed, "f32"), { transposeB: true });
  return mul(product, mul(g.inverse, factorOf(scaling, "weight", "inverse")));
}

/** `gᵀ · x` of cast numbers. @param g of `[M, O]`  @param x of `[M, C]`  @returns f32 `[O, C]` */
export function fp8WeightGradient(g: Fp8Cast, x: Fp8Cast): Tensor {
  return mul(matmul(g.values, x.values, { transposeA: true }), mul(g.inverse, x.inverse));
}

/** `[..., C]` as `[rows, C]`, which stays defined where C is 0. */
export function rowsOf(x: Tensor): Tensor {
  return reshape(x, [sizeOf(x.shape.slice(0, -1)), x.shape.at(-1)!]);
}

/** Matrices that lie one after another along an axis. @param sizes of each along that axis */
export function split(x: Tensor, axis: number, sizes: readonly number[]): Tensor[] {
  let end = 0;
  return sizes.map((size) => slice(x, axis, end, (end += size)));
}

/** Matrices `[M, O_i]` side by side in f32. */
export function sideBySide(matrices: readonly Tensor[]): Tensor {
  return concat(matrices.map((x) => cast(rowsOf(x), "f32")), 1);
}

/** The shape of a gradient that is not wanted. */
export function emptyLike({ shape }: Tensor): Shape {
  return [0, ...shape.slice(1)];
}

/** @throws DTypeError unless all have one float dtype */
export function checkOneFloat(name: string, tensors: readonly Tensor[]): void {
  const [first] = tensors;
  if (first !== undefined && isFloat(first.dtype) && tensors.every(({ dtype }) => dtype === first.dtype)) return;
  throw new DTypeError(`${name}: expected one float dtype, got ${tensors.map(({ dtype }) => dtype).join(", ")}`);
}

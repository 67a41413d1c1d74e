import type { Device } from "../../device.ts";
import { ShapeError, UsageError } from "../../errors.ts";
import { defineUpdate, runUpdate, type Update } from "../../op.ts";
import { keep, scope } from "../../scope.ts";
import { formatShape, sameShape } from "../../shape.ts";
import type { Tensor } from "../../tensor.ts";
import { abs } from "../abs.ts";
import { assignSlice } from "../assign-slice.ts";
import { assign } from "../assign.ts";
import { cast } from "../cast.ts";
import { concat } from "../concat.ts";
import { div } from "../div.ts";
import { ones, zeros } from "../full.ts";
import { less } from "../less.ts";
import { max } from "../max.ts";
import { maximum } from "../maximum.ts";
import { minimum } from "../minimum.ts";
import { mul } from "../mul.ts";
import { reshape } from "../reshape.ts";
import { slice } from "../slice.ts";
import { tensor } from "../tensor-of.ts";
import { where } from "../where.ts";

/** The three tensors of a linear layer that are cast to fp8; each has a row of the layer's scaling. */
export const fp8Rows = ["input", "weight", "gradient"] as const;
/** A tensor of a linear layer that is cast to fp8. */
export type Fp8Row = (typeof fp8Rows)[number];

/** Columns of a row: what undoes the factor, a number that nothing reads, the factor before the cast, the largest magnitude since
 *  the last update, and the largest magnitudes of 16 updates before, the latest first. So each inverse lies at a multiple of 16 bytes,
 *  where libraries of products want it. */
export const fp8Columns = { inverse: 0, scale: 2, amax: 3, history: 4, count: 20 } as const;

/** Types of the rows, and their largest numbers. Micikevicius et al. 2022: e4m3 for values, e5m2 for gradients. */
export const fp8Types = {
  input: { dtype: "f8e4m3", limit: 448 },
  weight: { dtype: "f8e4m3", limit: 448 },
  gradient: { dtype: "f8e5m2", limit: 57_344 },
} as const;

/** Share of a type's range that the largest magnitude so far is brought to. */
export const fp8Margin = 0.5;

/** The scaling of a new linear layer: factors of 1 and no history. The caller owns it. @returns f32 `[3, 20]` */
export function fp8Scaling(device: Device): Tensor {
  const rows = fp8Rows.length;
  return keep(scope(() => concat([ones(device, [rows, fp8Columns.amax]), zeros(device, [rows, fp8Columns.count - fp8Columns.amax])], 1)));
}

/** What a cast gives: the fp8 numbers in f32, and the factor that undoes their scale, `[1, 1]`. */
export interface Fp8Cast {
  readonly values: Tensor;
  readonly inverse: Tensor;
}

/** Casts a tensor to fp8 in simpler ops and notes its largest magnitude in the scaling.
 *  @param calibrate scale by the tensor's own largest magnitude instead of the scaling's factor */
export function fp8Cast(x: Tensor, scaling: Tensor, row: Fp8Row, calibrate: boolean): Fp8Cast {
  const top = largestMagnitude(x);
  noteMagnitude(scaling, row, top);
  const factor = calibrate ? scaleFor(top, fp8Types[row].limit, ones(x.device, [1, 1])) : factorOf(scaling, row, "scale");
  return { values: cast(toFp8(x, factor, row), "f32"), inverse: calibrate ? div(1, factor) : factorOf(scaling, row, "inverse") };
}

/** Scales a tensor, saturates it and rounds it. @param factor `[1, 1]` */
export function toFp8(x: Tensor, factor: Tensor, row: Fp8Row): Tensor {
  const { dtype, limit } = fp8Types[row];
  return cast(minimum(maximum(mul(cast(x, "f32"), reshape(factor, [])), -limit), limit), dtype);
}

/** The factor of a row, or what undoes it. @returns `[1, 1]` */
export function factorOf(scaling: Tensor, row: Fp8Row, which: "scale" | "inverse"): Tensor {
  const [at, column] = [fp8Rows.indexOf(row), fp8Columns[which]];
  return slice(slice(scaling, 0, at, at + 1), 1, column, column + 1);
}

/** @returns f32 `[1, 1]`, 0 for a tensor without elements */
export function largestMagnitude(x: Tensor): Tensor {
  return x.size === 0 ? zeros(x.device, [1, 1]) : reshape(max(abs(cast(x, "f32"))), [1, 1]);
}

/** Raises the largest magnitude since the last update of a row. @param top `[1, 1]` */
export function noteMagnitude(scaling: Tensor, row: Fp8Row, top: Tensor): void {
  const at = fp8Rows.indexOf(row);
  const { amax, history, count } = fp8Columns;
  const own = slice(scaling, 0, at, at + 1);
  const noted = maximum(slice(own, 1, amax, history), top);
  assignSlice(scaling, concat([slice(own, 1, 0, amax), noted, slice(own, 1, history, count)], 1), 0, at);
}

/** Sets the factor of a row from a largest magnitude; 1 where that is not a finite number above 0. @param top `[1, 1]` */
export function setFactor(scaling: Tensor, row: Fp8Row, top: Tensor, margin: number): void {
  const at = fp8Rows.indexOf(row);
  const scale = scaleFor(top, fp8Types[row].limit * margin, ones(top.device, [1, 1]));
  assignSlice(scaling, concat([factors(scale), slice(slice(scaling, 0, at, at + 1), 1, fp8Columns.amax, fp8Columns.count)], 1), 0, at);
}

/** The first columns of rows. @param scale `[rows, 1]` @returns `[rows, 3]` */
function factors(scale: Tensor): Tensor {
  return concat([div(1, scale), ones(scale.device, scale.shape), scale], 1);
}

/** The factor that brings a largest magnitude to the limit of the type; the former one where that is not a finite number
 *  above 0. */
function scaleFor(top: Tensor, limit: Tensor | number, former: Tensor): Tensor {
  const scale = div(limit, top);
  return where(mul(less(0, scale), less(scale, Infinity)), scale, former);
}

export const fp8UpdateOp: Update<readonly Tensor[], { readonly margin: number }> = defineUpdate({
  name: "fp8Update",
  check: (scalings, { margin }) => {
    for (const scaling of scalings) checkScaling("fp8Update", scaling);
    if (!(margin > 0 && margin <= 1)) throw new UsageError(`fp8Update: expected a margin above 0 and at most 1, got ${margin}`);
  },
  decompose: (scalings, { margin }) => {
    for (const scaling of scalings) updateOne(scaling, margin);
  },
});

function updateOne(scaling: Tensor, margin: number): void {
  const { scale, amax, history, count } = fp8Columns;
  const rows = fp8Rows.length;
  const magnitudes = slice(scaling, 1, amax, count - 1);
  const top = max(magnitudes, { axis: 1, keepDims: true });
  const limits = tensor(scaling.device, fp8Rows.map((row) => fp8Types[row].limit * margin), [rows, 1]);
  const next = scaleFor(top, limits, slice(scaling, 1, scale, scale + 1));
  assign(scaling, concat([factors(next), zeros(scaling.device, [rows, history - amax]), magnitudes], 1));
}

/** Moves the largest magnitudes since the last update into the history and takes the factors from it: the limit of the
 *  type times `margin`, over the largest magnitude of the last 16 updates. Weights must then be written by their new factor: by `writeFp8`, or by
 *  AdamW as it updates them. Micikevicius et al. 2022, delayed scaling.
 *  @param scalings f32 `[3, 20]` each  @param margin room left for magnitudes that grow, above 0 and at most 1 */
export function fp8Update(scalings: readonly Tensor[], margin: number = fp8Margin): void {
  if (scalings.length > 0) runUpdate(fp8UpdateOp, scalings, { margin });
}

/** @throws ShapeError unless it is one */
export function checkScaling(name: string, scaling: Tensor): void {
  const shape = [fp8Rows.length, fp8Columns.count];
  if (scaling.dtype === "f32" && sameShape(scaling.shape, shape)) return;
  throw new ShapeError(`${name}: expected a scaling f32 ${formatShape(shape)}, as fp8Scaling makes it, got ${scaling.dtype} ${formatShape(scaling.shape)}`);
}

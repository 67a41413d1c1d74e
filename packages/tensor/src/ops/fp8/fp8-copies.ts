import type { Spec } from "../../op.ts";
import { sizeOf } from "../../shape.ts";
import type { Tensor } from "../../tensor.ts";
import { cast } from "../cast.ts";
import { concat } from "../concat.ts";
import { zeros } from "../full.ts";
import { transpose } from "../permute.ts";
import { rowsOf } from "./fp8-products.ts";
import { factorOf, fp8Cast, fp8Types, largestMagnitude, noteMagnitude, toFp8, type Fp8Cast } from "./fp8-scaling.ts";

/** A gradient `[..., C]` cast to f8e5m2 by the rule that completes it, for the rule that reads it: companions on a tape. */
export type Fp8Copies = readonly [
  /** `[rows, C]`: products for inputs read it. */
  rowwise: Tensor,
  /** `[C, fp8Padded(rows)]`, zero beyond the rows: products for weights read it. */
  transposed: Tensor,
];

/** Length of the rows of a transposed copy: products take multiples of 16. */
export function fp8Padded(rows: number): number {
  return Math.ceil(rows / 16) * 16;
}

/** Shapes and types of the copies of a gradient; empty where there is no scaling to cast it by. @param x `[..., C]` */
export function fp8CopySpecs({ shape }: Tensor, castBy: Tensor | null): [rowwise: Spec, transposed: Spec] {
  const [rows, C] = castBy === null ? [0, shape.at(-1)!] : [sizeOf(shape.slice(0, -1)), shape.at(-1)!];
  const { dtype } = fp8Types.gradient;
  return [{ shape: [rows, C], dtype }, { shape: [C, fp8Padded(rows)], dtype }];
}

/** Makes the copies of a gradient in simpler ops, and notes its largest magnitude. @param g `[..., C]` */
export function copiesOf(g: Tensor, castBy: Tensor | null): Fp8Copies {
  const [{ shape, dtype }, { shape: [C, padded] }] = fp8CopySpecs(g, castBy);
  if (castBy === null) return [zeros(g.device, shape, dtype), zeros(g.device, [C!, padded!], dtype)];
  noteMagnitude(castBy, "gradient", largestMagnitude(g));
  const numbers = toFp8(rowsOf(g), factorOf(castBy, "gradient", "scale"), "gradient");
  return [numbers, concat([transpose(numbers), zeros(g.device, [C!, padded! - shape[0]!], dtype)], 1)];
}

/** A gradient as products read it, in simpler ops: cast before it came, or now. @param g `[..., C]` */
export function castGradient(g: Tensor, copy: Tensor | null, scaling: Tensor, calibrate: boolean): Fp8Cast {
  if (copy === null) return fp8Cast(rowsOf(g), scaling, "gradient", calibrate);
  return { values: cast(copy, "f32"), inverse: factorOf(scaling, "gradient", "inverse") };
}

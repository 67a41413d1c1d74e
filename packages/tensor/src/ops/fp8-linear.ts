import { isFloat } from "../dtype.ts";
import { DTypeError, ShapeError } from "../errors.ts";
import { defineOp, run, type Op } from "../op.ts";
import { formatShape, sameShape, sizeOf, type Shape } from "../shape.ts";
import type { Tensor } from "../tensor.ts";
import { add } from "./add.ts";
import { cast } from "./cast.ts";
import { fp8Cast, fp8Columns, fp8Rows } from "./fp8-scaling.ts";
import { zeros } from "./full.ts";
import { matmul } from "./matmul.ts";
import { mul } from "./mul.ts";
import { reshape } from "./reshape.ts";

/** How the operands are scaled. */
export interface Fp8Attrs {
  /** Scale every tensor by its own largest magnitude, as before the first update; else by the scaling's factors. */
  readonly calibrate: boolean;
}

/** Which gradients are wanted; those that are not come back empty. */
interface GradAttrs extends Fp8Attrs {
  readonly needsInput: boolean;
  readonly needsWeight: boolean;
}

type LinearInputs = readonly [x: Tensor, weight: Tensor, residual: Tensor | null, scaling: Tensor];

export const fp8LinearOp: Op<LinearInputs, readonly [Tensor], Fp8Attrs> = defineOp({
  name: "fp8Linear",
  infer: ([x, weight, residual, scaling]) => {
    const [O, C] = weight.shape;
    if (weight.shape.length !== 2 || x.shape.length < 1 || x.shape.at(-1) !== C) {
      throw new ShapeError(`fp8Linear: expected x [..., C] and weight [O, C], got ${formatShape(x.shape)} and ${formatShape(weight.shape)}`);
    }
    const shape = [...x.shape.slice(0, -1), O!];
    if (residual !== null && !sameShape(residual.shape, shape)) {
      throw new ShapeError(`fp8Linear: expected a residual ${formatShape(shape)}, got ${formatShape(residual.shape)}`);
    }
    if (!isFloat(x.dtype) || weight.dtype !== x.dtype || (residual !== null && residual.dtype !== x.dtype)) {
      throw new DTypeError(`fp8Linear: expected one float dtype, got ${x.dtype}, ${weight.dtype}${residual === null ? "" : ` and ${residual.dtype}`}`);
    }
    if (scaling.dtype !== "f32" || !sameShape(scaling.shape, [fp8Rows.length, fp8Columns.count])) {
      throw new ShapeError(`fp8Linear: expected a scaling f32 [${fp8Rows.length}, ${fp8Columns.count}], got ${scaling.dtype} ${formatShape(scaling.shape)}`);
    }
    return [{ shape, dtype: x.dtype }];
  },
  vjp: ([g], [x, weight, residual, scaling], _, { calibrate }, [needsInput, needsWeight]) => {
    if (g === null) return [null, null, null, null];
    const [dx, dWeight] = run(fp8LinearGradOp, [g, x, weight, scaling], { calibrate, needsInput, needsWeight });
    return [needsInput ? dx : null, needsWeight ? dWeight : null, residual && g, null];
  },
  decompose: ([x, weight, residual, scaling], { calibrate }) => {
    const input = fp8Cast(rowsOf(x), scaling, "input", calibrate);
    const kernel = fp8Cast(weight, scaling, "weight", calibrate);
    const product = mul(matmul(input.values, kernel.values, { transposeB: true }), mul(input.inverse, kernel.inverse));
    const y = reshape(product, [...x.shape.slice(0, -1), weight.shape[0]!]);
    return [cast(residual === null ? y : add(y, cast(residual, "f32")), x.dtype)];
  },
  saves: { inputs: [0, 1, 3], outputs: [] },
});

/** Gradients of `fp8Linear`: of x in its dtype, of the weight in f32; the gradient that comes in is cast to e5m2. */
export const fp8LinearGradOp: Op<
  readonly [g: Tensor, x: Tensor, weight: Tensor, scaling: Tensor], readonly [dx: Tensor, dWeight: Tensor], GradAttrs
> = defineOp({
  name: "fp8LinearGrad",
  infer: ([, x, weight], { needsInput, needsWeight }) => [
    { shape: needsInput ? x.shape : emptyLike(x), dtype: x.dtype },
    { shape: needsWeight ? weight.shape : emptyLike(weight), dtype: "f32" },
  ],
  vjp: null,
  decompose: ([g, x, weight, scaling], { calibrate, needsInput, needsWeight }) => {
    const gradient = fp8Cast(rowsOf(g), scaling, "gradient", calibrate);
    const ofInput = (): Tensor => {
      const kernel = fp8Cast(weight, scaling, "weight", calibrate);
      const product = mul(matmul(gradient.values, kernel.values), mul(gradient.inverse, kernel.inverse));
      return cast(reshape(product, x.shape), x.dtype);
    };
    const ofWeight = (): Tensor => {
      const input = fp8Cast(rowsOf(x), scaling, "input", calibrate);
      return mul(matmul(gradient.values, input.values, { transposeA: true }), mul(gradient.inverse, input.inverse));
    };
    return [
      needsInput ? ofInput() : zeros(x.device, emptyLike(x), x.dtype),
      needsWeight ? ofWeight() : zeros(x.device, emptyLike(weight)),
    ];
  },
});

/** The shape of a gradient that is not wanted. */
function emptyLike({ shape }: Tensor): Shape {
  return [0, ...shape.slice(1)];
}

/** `[..., C]` as `[rows, C]`, which stays defined where C is 0. */
function rowsOf(x: Tensor): Tensor {
  return reshape(x, [sizeOf(x.shape.slice(0, -1)), x.shape.at(-1)!]);
}

/** A linear layer whose products are of 8-bit floats: `y = q(x) · q(weight)ᵀ / (scales) (+ residual)`, where `q` scales a
 *  tensor, rounds it to e4m3 (gradients to e5m2) and saturates. Sums are f32. The largest magnitudes are noted in
 *  `scaling`, in place, for `fp8Update` to take the next factors from. Micikevicius et al. 2022, delayed scaling.
 *  @param x `[..., C]`  @param weight `[O, C]`  @param residual `[..., O]`, added to the product in f32
 *  @param scaling f32 `[3, 19]`, as `fp8Scaling` makes it  @returns `[..., O]`, dtype of x
 *  @throws ShapeError when sizes do not fit, DTypeError when types differ */
export function fp8Linear(
  x: Tensor, weight: Tensor, scaling: Tensor, options: { readonly residual?: Tensor | null } & Partial<Fp8Attrs> = {},
): Tensor {
  const { residual = null, calibrate = false } = options;
  return run(fp8LinearOp, [x, weight, residual, scaling], { calibrate })[0];
}

import { ShapeError } from "../../errors.ts";
import { defineOp, run, type Op } from "../../op.ts";
import { formatShape, sameShape } from "../../shape.ts";
import type { Tensor } from "../../tensor.ts";
import { add } from "../add.ts";
import { cast } from "../cast.ts";
import { zeros } from "../full.ts";
import { reshape } from "../reshape.ts";
import { castGradient } from "./fp8-copies.ts";
import { checkFp8Weights, type Fp8Matrix } from "./fp8-matrix.ts";
import { checkOneFloat, emptyLike, fp8InputGradient, fp8Product, fp8WeightGradient, rowsOf, type Fp8Attrs } from "./fp8-products.ts";
import { fp8Cast } from "./fp8-scaling.ts";

/** Which gradients are wanted; those that are not come back empty. */
interface GradAttrs extends Fp8Attrs {
  readonly needsInput: boolean;
  readonly needsWeight: boolean;
}

type LinearInputs = readonly [x: Tensor, weight: Tensor, residual: Tensor | null, scaling: Tensor, rowwise: Tensor, transposed: Tensor];

export const fp8LinearOp: Op<LinearInputs, readonly [Tensor], Fp8Attrs> = defineOp({
  name: "fp8Linear",
  infer: ([x, weight, residual, scaling, rowwise, transposed]) => {
    const [O, C] = weight.shape;
    if (weight.shape.length !== 2 || x.shape.length < 1 || x.shape.at(-1) !== C) {
      throw new ShapeError(`fp8Linear: expected x [..., C] and weight [O, C], got ${formatShape(x.shape)} and ${formatShape(weight.shape)}`);
    }
    const shape = [...x.shape.slice(0, -1), O!];
    if (residual !== null && !sameShape(residual.shape, shape)) {
      throw new ShapeError(`fp8Linear: expected a residual ${formatShape(shape)}, got ${formatShape(residual.shape)}`);
    }
    checkOneFloat("fp8Linear", [x, weight, ...(residual === null ? [] : [residual])]);
    checkFp8Weights("fp8Linear", { scaling, rowwise, transposed }, [weight]);
    return [{ shape, dtype: x.dtype }];
  },
  vjp: ([g], [x, , residual, scaling, , transposed], _, { calibrate }, [needsInput, needsWeight], { companions: [copy = null, copyTransposed = null] }) => {
    if (g === null) return [null, null, null, null, null, null];
    const [dx, dWeight] = run(fp8LinearGradOp, [g, x, scaling, transposed, copy, copyTransposed], { calibrate, needsInput, needsWeight });
    return [needsInput ? dx : null, needsWeight ? dWeight : null, residual && g, null, null, null];
  },
  decompose: ([x, , residual, scaling, rowwise], { calibrate }) => {
    const product = fp8Product(fp8Cast(rowsOf(x), scaling, "input", calibrate), { rowwise, scaling });
    const y = reshape(product, [...x.shape.slice(0, -1), rowwise.shape[0]!]);
    return [cast(residual === null ? y : add(y, cast(residual, "f32")), x.dtype)];
  },
  saves: { inputs: [0, 3, 5], outputs: [] },
  castsGradient: ([, , , scaling], { calibrate }) => (calibrate ? null : scaling),
});

/** Gradients of `fp8Linear`: of x in its dtype, of the weight in f32; the gradient that comes in is cast to e5m2, where it came
 *  without copies. */
export const fp8LinearGradOp: Op<
  readonly [g: Tensor, x: Tensor, scaling: Tensor, transposed: Tensor, copy: Tensor | null, copyTransposed: Tensor | null],
  readonly [dx: Tensor, dWeight: Tensor], GradAttrs
> = defineOp({
  name: "fp8LinearGrad",
  infer: ([, x, , { shape: [C, O] }], { needsInput, needsWeight }) => [
    { shape: needsInput ? x.shape : emptyLike(x), dtype: x.dtype },
    { shape: [needsWeight ? O! : 0, C!], dtype: "f32" },
  ],
  vjp: null,
  decompose: ([g, x, scaling, transposed, copy], { calibrate, needsInput, needsWeight }) => {
    const gradient = castGradient(g, copy, scaling, calibrate);
    const ofInput = (): Tensor => cast(reshape(fp8InputGradient(gradient, { transposed, scaling }), x.shape), x.dtype);
    const ofWeight = (): Tensor => fp8WeightGradient(gradient, fp8Cast(rowsOf(x), scaling, "input", calibrate));
    return [
      needsInput ? ofInput() : zeros(x.device, emptyLike(x), x.dtype),
      needsWeight ? ofWeight() : zeros(x.device, [0, transposed.shape[0]!]),
    ];
  },
});

/** A linear layer whose products are of 8-bit floats: `y = q(x) · q(weight)ᵀ / (scales) (+ residual)`, where `q` scales a
 *  tensor, rounds it to e4m3 (gradients to e5m2) and saturates. Sums are f32. The largest magnitudes are noted in
 *  the matrix' scaling, in place, for `fp8Update` to take the next factors from. Micikevicius et al. 2022, delayed scaling.
 *  @param x `[..., C]`  @param weight `[O, C]`, what gradients are of; its elements are read from the matrix
 *  @param matrix the weight as `writeFp8` wrote it  @param options.residual `[..., O]`, added to the product in f32
 *  @returns `[..., O]`, dtype of x  @throws ShapeError when sizes do not fit, DTypeError when types differ */
export function fp8Linear(
  x: Tensor, weight: Tensor, matrix: Fp8Matrix, options: { readonly residual?: Tensor | null } & Partial<Fp8Attrs> = {},
): Tensor {
  const { residual = null, calibrate = false } = options;
  return run(fp8LinearOp, [x, weight, residual, matrix.scaling, matrix.rowwise, matrix.transposed], { calibrate })[0];
}

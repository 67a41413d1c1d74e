import {
  abs, add, assign, cast, checkFp8Matrix, div, DTypeError, defineUpdate, formatShape, full, less, mul, runUpdate, sameShape, ShapeError, sqrt, sub,
  where, writeFp8Rows, type Fp8Matrix, type Fp8Place, type Tensor, type Update,
} from "@danu/tensor";

/** Numbers of one AdamW step. */
export interface AdamWAttrs {
  readonly learningRate: number;
  readonly beta1: number;
  readonly beta2: number;
  readonly eps: number;
  /** Decoupled decay: the parameter shrinks by `learningRate · weightDecay` of itself. */
  readonly weightDecay: number;
  /** Number of this step, from 1, for the bias correction. */
  readonly step: number;
  /** First row of the parameter in the matrix in fp8, 0 where left out. */
  readonly row?: number;
}

type AdamWInputs = readonly [
  param: Tensor, gradient: Tensor, mean: Tensor, variance: Tensor, gradientScale: Tensor | null, copy: Tensor | null,
  ...fp8: readonly [] | readonly [scaling: Tensor, rowwise: Tensor, transposed: Tensor],
];

export const adamwOp: Update<AdamWInputs, AdamWAttrs> = defineUpdate({
  name: "adamw",
  check: ([param, gradient, mean, variance, gradientScale, copy, ...fp8], { row = 0 }) => {
    for (const [name, tensor] of Object.entries({ param, gradient, mean, variance })) {
      if (tensor.dtype !== "f32") throw new DTypeError(`adamw: expected an f32 ${name}, got ${tensor.dtype}`);
    }
    for (const tensor of [gradient, mean, variance, ...(copy === null ? [] : [copy])]) {
      if (!sameShape(tensor.shape, param.shape)) {
        throw new ShapeError(`adamw: expected ${formatShape(param.shape)} throughout, got ${formatShape(tensor.shape)}`);
      }
    }
    if (gradientScale !== null && (gradientScale.size !== 1 || gradientScale.dtype !== "f32")) {
      throw new ShapeError(`adamw: expected one f32 gradient scale, got ${gradientScale.dtype} ${formatShape(gradientScale.shape)}`);
    }
    if (fp8.length !== 0) checkRows(param, matrixOf(fp8), row);
  },
  decompose: ([param, gradient, mean, variance, gradientScale, copy, ...fp8], attrs) => {
    const { learningRate, beta1, beta2, eps, weightDecay, step, row = 0 } = attrs;
    const scale = gradientScale ?? full(param.device, [], 1);
    const finite = less(abs(scale.view([])), full(param.device, [], Infinity));
    const g = mul(gradient, scale.view([]));
    const m = add(mul(mean, beta1), mul(g, 1 - beta1));
    const v = add(mul(variance, beta2), mul(mul(g, g), 1 - beta2));
    const denominator = add(div(sqrt(v), Math.sqrt(1 - beta2 ** step)), eps);
    const decayed = mul(param, 1 - learningRate * weightDecay);
    const next = sub(decayed, mul(div(m, denominator), learningRate / (1 - beta1 ** step)));
    assign(mean, where(finite, m, mean));
    assign(variance, where(finite, v, variance));
    assign(param, where(finite, next, param));
    if (copy !== null) assign(copy, cast(param, copy.dtype));
    if (fp8.length !== 0) writeFp8Rows(matrixOf(fp8), param, row);
  },
});

function matrixOf([scaling, rowwise, transposed]: readonly [Tensor, Tensor, Tensor]): Fp8Matrix {
  return { scaling, rowwise, transposed };
}

function checkRows({ shape }: Tensor, matrix: Fp8Matrix, row: number): void {
  checkFp8Matrix("adamw", matrix);
  const [O, C] = matrix.rowwise.shape;
  if (shape.length !== 2 || shape[1] !== C || !(Number.isInteger(row) && row >= 0 && row + shape[0]! <= O!)) {
    throw new ShapeError(`adamw: expected a parameter within the rows of ${formatShape(matrix.rowwise.shape)}, got ${formatShape(shape)} at ${row}`);
  }
}

/** One AdamW step in place on one parameter, as PyTorch's: Loshchilov & Hutter 2019.
 *
 *  `g ← s·g; m ← β₁m + (1−β₁)g; v ← β₂v + (1−β₂)g²; p ← p − lr·wd·p − lr/(1−β₁ᵗ) · m / (√v/√(1−β₂ᵗ) + eps)`
 *  @param param f32 `[...]`  @param gradient f32  @param mean f32  @param variance f32
 *  @param gradientScale f32 `[]`, the clip factor s; where it is not finite parameter and moments stay as they are
 *  @param copy a low-precision copy of the parameter to refresh, or null
 *  @param fp8 where the parameter is written in fp8, by the factor in force, which its largest magnitude is noted for */
export function adamw(
  param: Tensor, gradient: Tensor, mean: Tensor, variance: Tensor, gradientScale: Tensor | null, copy: Tensor | null,
  attrs: Omit<AdamWAttrs, "row">, fp8: Fp8Place | null = null,
): void {
  const x = [param, gradient, mean, variance, gradientScale, copy] as const;
  if (fp8 === null) return runUpdate(adamwOp, x, attrs);
  const { matrix: { scaling, rowwise, transposed }, row } = fp8;
  return runUpdate(adamwOp, [...x, scaling, rowwise, transposed], { ...attrs, row });
}

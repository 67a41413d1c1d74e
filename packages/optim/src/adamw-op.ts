import {
  abs, add, assign, cast, checkFp8Matrix, div, DTypeError, defineUpdate, formatShape, full, less, mul, runUpdate, sameShape, ShapeError, sqrt, sub,
  where, writeFp8Rows, type Fp8Place, type Tensor, type Update,
} from "@danu/tensor";

/** Numbers of one AdamW step. */
export interface AdamWAttrs {
  readonly learningRate: number;
  readonly beta1: number;
  readonly beta2: number;
  readonly eps: number;
  /** Number of this step, from 1, for the bias correction. */
  readonly step: number;
}

/** What a step reads and writes of one parameter, and how it decays. */
export interface AdamWParameter {
  /** f32 `[...]`, like gradient and moments. */
  readonly param: Tensor;
  readonly gradient: Tensor;
  readonly mean: Tensor;
  readonly variance: Tensor;
  /** A low-precision copy of the parameter to refresh, or null. */
  readonly copy: Tensor | null;
  /** Where the parameter is written in fp8, by the factor in force, which its largest magnitude is noted for; or null. */
  readonly fp8: Fp8Place | null;
  /** Decoupled decay: the parameter shrinks by `learningRate · weightDecay` of itself. */
  readonly weightDecay: number;
}

/** What the op is told of one parameter beside its tensors; the first row of its place in fp8, 0 without. */
type Numbers = Pick<AdamWParameter, "weightDecay"> & Pick<Fp8Place, "row">;
export type AdamWOpAttrs = AdamWAttrs & { readonly parameters: readonly Numbers[] };

/** Tensors of one parameter, as `tensorsOf` lists them. */
type Tensors = readonly [
  param: Tensor, gradient: Tensor, mean: Tensor, variance: Tensor, copy: Tensor | null, scaling: Tensor | null, rowwise: Tensor | null, transposed: Tensor | null,
];
const tensorsOfOne = 8;

/** All parameters of a step are the inputs of one op, so that a device can take them together. */
type AdamWInputs = readonly [gradientScale: Tensor | null, ...parameters: (Tensor | null)[]];

function tensorsOf({ param, gradient, mean, variance, copy, fp8 }: AdamWParameter): Tensors {
  const matrix = fp8?.matrix;
  return [param, gradient, mean, variance, copy, matrix?.scaling ?? null, matrix?.rowwise ?? null, matrix?.transposed ?? null];
}

/** The parameters among the inputs of the op. */
export function adamwParameters([, ...tensors]: AdamWInputs, { parameters }: AdamWOpAttrs): AdamWParameter[] {
  return parameters.map(({ weightDecay, row }, i) => {
    const own = tensors.slice(i * tensorsOfOne, (i + 1) * tensorsOfOne) as unknown as Tensors;
    const [param, gradient, mean, variance, copy, scaling, rowwise, transposed] = own;
    const fp8 = scaling === null ? null : { matrix: { scaling, rowwise: rowwise!, transposed: transposed! }, row };
    return { param, gradient, mean, variance, copy, fp8, weightDecay };
  });
}

export const adamwOp: Update<AdamWInputs, AdamWOpAttrs> = defineUpdate({
  name: "adamw",
  check: (x, attrs) => {
    const [gradientScale] = x;
    if (gradientScale !== null && (gradientScale.size !== 1 || gradientScale.dtype !== "f32")) {
      throw new ShapeError(`adamw: expected one f32 gradient scale, got ${gradientScale.dtype} ${formatShape(gradientScale.shape)}`);
    }
    for (const parameter of adamwParameters(x, attrs)) checkParameter(parameter);
  },
  decompose: (x, attrs) => {
    const parameters = adamwParameters(x, attrs);
    // A device may have no kernel for one of them, and still one for the others.
    if (parameters.length > 1) for (const parameter of parameters) adamw([parameter], x[0], attrs);
    else for (const parameter of parameters) updateOne(parameter, x[0], attrs);
  },
});

function updateOne({ param, gradient, mean, variance, copy, fp8, weightDecay }: AdamWParameter, gradientScale: Tensor | null, attrs: AdamWAttrs): void {
  const { learningRate, beta1, beta2, eps, step } = attrs;
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
  if (fp8 !== null) writeFp8Rows(fp8.matrix, param, fp8.row);
}

function checkParameter({ param, gradient, mean, variance, copy, fp8 }: AdamWParameter): void {
  for (const [name, tensor] of Object.entries({ param, gradient, mean, variance })) {
    if (tensor.dtype !== "f32") throw new DTypeError(`adamw: expected an f32 ${name}, got ${tensor.dtype}`);
  }
  for (const tensor of [gradient, mean, variance, ...(copy === null ? [] : [copy])]) {
    if (!sameShape(tensor.shape, param.shape)) {
      throw new ShapeError(`adamw: expected ${formatShape(param.shape)} throughout, got ${formatShape(tensor.shape)}`);
    }
  }
  if (fp8 !== null) checkRows(param, fp8);
}

function checkRows({ shape }: Tensor, { matrix, row }: Fp8Place): void {
  checkFp8Matrix("adamw", matrix);
  const [O, C] = matrix.rowwise.shape;
  if (shape.length !== 2 || shape[1] !== C || !(Number.isInteger(row) && row >= 0 && row + shape[0]! <= O!)) {
    throw new ShapeError(`adamw: expected a parameter within the rows of ${formatShape(matrix.rowwise.shape)}, got ${formatShape(shape)} at ${row}`);
  }
}

/** One AdamW step in place, as PyTorch's: Loshchilov & Hutter 2019.
 *
 *  `g ← s·g; m ← β₁m + (1−β₁)g; v ← β₂v + (1−β₂)g²; p ← p − lr·wd·p − lr/(1−β₁ᵗ) · m / (√v/√(1−β₂ᵗ) + eps)`
 *  @param gradientScale f32 `[]`, the clip factor s; where it is not finite parameters and moments stay as they are */
export function adamw(parameters: readonly AdamWParameter[], gradientScale: Tensor | null, attrs: AdamWAttrs): void {
  if (parameters.length === 0) return;
  const numbers = parameters.map(({ weightDecay, fp8 }) => ({ weightDecay, row: fp8?.row ?? 0 }));
  runUpdate(adamwOp, [gradientScale, ...parameters.flatMap(tensorsOf)], { ...attrs, parameters: numbers });
}

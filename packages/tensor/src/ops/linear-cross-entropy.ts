import { isFloat } from "../dtype.ts";
import { DTypeError, ShapeError } from "../errors.ts";
import { pullback } from "../grad.ts";
import { defineOp, run, type Op, type Spec } from "../op.ts";
import { scope } from "../scope.ts";
import { formatShape } from "../shape.ts";
import { isTracked } from "../tape.ts";
import type { Tensor } from "../tensor.ts";
import { cast } from "./cast.ts";
import { embedding } from "./embedding.ts";
import { equal } from "./equal.ts";
import { full } from "./full.ts";
import { iota } from "./iota.ts";
import { matmul } from "./matmul.ts";
import { mul } from "./mul.ts";
import { reshape } from "./reshape.ts";
import { scaleInto } from "./scale-into.ts";
import { logSumExp } from "./softmax.ts";
import { sub } from "./sub.ts";
import { sum } from "./sum.ts";
import { where } from "./where.ts";

/** Target value of a position that carries no loss. */
export const ignoreIndex = -100;

/** How a summed loss is scaled and differentiated. */
export interface LossAttrs {
  /** Factor of the sum, usually one over the number of trained tokens of the whole optimizer step. */
  readonly scale: number;
  /** Whether the gradient of the weight is wanted: a frozen head needs none, and it costs a third of the work. */
  readonly weightGradient: boolean;
}

type LossInputs = readonly [x: Tensor, weight: Tensor, targets: Tensor];

function checkInputs(name: string, [x, weight, targets]: LossInputs): void {
  const [N, C] = x.shape;
  const fits = x.shape.length === 2 && weight.shape.length === 2 && weight.shape[1] === C
    && targets.shape.length === 1 && targets.shape[0] === N;
  if (!fits) {
    const got = [x, weight, targets].map((t) => formatShape(t.shape)).join(", ");
    throw new ShapeError(`${name}: expected x [N, C], weight [V, C] and targets [N], got ${got}`);
  }
  if (!isFloat(x.dtype) || x.dtype !== weight.dtype) throw new DTypeError(`${name}: expected one float dtype, got ${x.dtype} and ${weight.dtype}`);
  if (targets.dtype !== "i32") throw new DTypeError(`${name}: expected i32 targets, got ${targets.dtype}`);
}

/** Loss of every token. The logits are formed again for the gradient, so that they need not be kept. */
export const tokenLossesOp: Op<LossInputs, readonly [losses: Tensor], null> = defineOp({
  name: "tokenLosses",
  infer: (inputs) => {
    checkInputs("tokenLosses", inputs);
    return [{ shape: inputs[2].shape, dtype: "f32" }];
  },
  vjp: ([g], [x, weight, targets], _, __, [, weightGradient]) => {
    if (g === null) return [null, null, null];
    const [dx, dWeight] = run(tokenLossesGradOp, [g, x, weight, targets], { weightGradient });
    return [dx, weightGradient ? dWeight : null, null];
  },
  decompose: ([x, weight, targets]) => [losses(x, weight, targets)],
});

/** Gradients of `Σ g · losses`, where every token has its own factor. */
export const tokenLossesGradOp: Op<
  readonly [g: Tensor, ...LossInputs], readonly [dx: Tensor, dWeight: Tensor], Pick<LossAttrs, "weightGradient">
> = defineOp({
  name: "tokenLossesGrad",
  infer: ([g, ...inputs], { weightGradient }) => {
    checkInputs("tokenLossesGrad", inputs);
    if (g.shape.join() !== inputs[2].shape.join() || g.dtype !== "f32") {
      throw new ShapeError(`tokenLossesGrad: expected f32 factors ${formatShape(inputs[2].shape)}, got ${g.dtype} ${formatShape(g.shape)}`);
    }
    return gradientSpecs(inputs, weightGradient);
  },
  vjp: null,
  decompose: ([g, x, weight, targets], { weightGradient }) => {
    const total = (u: Tensor, w: Tensor): Tensor => sum(mul(losses(u, w, targets), g));
    return gradientsOf(total, x, weight, weightGradient)[1];
  },
});

/** Loss of every token together with the gradients of `scale · Σ losses`, so that the logits are formed only once. */
export const linearCrossEntropyOp: Op<
  LossInputs, readonly [total: Tensor, dx: Tensor, dWeight: Tensor], LossAttrs
> = defineOp({
  name: "linearCrossEntropy",
  infer: (inputs, attrs) => {
    checkInputs("linearCrossEntropy", inputs);
    return [{ shape: [], dtype: "f32" }, ...gradientSpecs(inputs, attrs.weightGradient)];
  },
  // The saved gradients are consumed: the tape walks an entry once. A loss that is the end of the graph has g = 1.
  vjp: ([g], _, [, dx, dWeight], { weightGradient }) => {
    if (g === null) return [null, null, null];
    scaleInto(dx, g);
    if (!weightGradient) return [dx, null, null];
    scaleInto(dWeight, g);
    return [dx, dWeight, null];
  },
  decompose: ([x, weight, targets], { scale, weightGradient }) => {
    const total = (u: Tensor, w: Tensor): Tensor => mul(sum(losses(u, w, targets)), scale);
    const [y, gradients] = gradientsOf(total, x, weight, weightGradient);
    return [y, ...gradients];
  },
  saves: { inputs: [], outputs: [1, 2] },
});

/** Gradients of the hidden states and of the head, which is empty where it is not wanted. */
function gradientSpecs([x, weight]: LossInputs, weightGradient: boolean): [Spec, Spec] {
  const ofWeight = weightGradient ? weight.shape : [0, weight.shape[1]!];
  return [{ shape: x.shape, dtype: x.dtype }, { shape: ofWeight, dtype: "f32" }];
}

function gradientsOf(
  total: (x: Tensor, weight: Tensor) => Tensor, x: Tensor, weight: Tensor, weightGradient: boolean,
): [total: Tensor, gradients: [dx: Tensor, dWeight: Tensor]] {
  const head = cast(weight, "f32");
  const { y, pull } = pullback((u, w) => [total(u!, w ?? head)] as const, weightGradient ? [x, head] : [x]);
  const [dx, dWeight] = pull([full(x.device, [], 1)]) as [Tensor, Tensor?];
  return [y[0], [dx, dWeight ?? full(x.device, [0, weight.shape[1]!], 0)]];
}

function losses(x: Tensor, weight: Tensor, targets: Tensor): Tensor {
  const [N, V] = [x.shape[0]!, weight.shape[0]!];
  const logits = matmul(cast(x, "f32"), cast(weight, "f32"), { transposeB: true });
  const column = reshape(targets, [N, 1]);
  const zero = full(x.device, [], 0);
  const ignored = equal(column, full(x.device, [], ignoreIndex, "i32"));
  // Looking the ids up in their own list changes nothing, except that it fails for one that is out of range.
  const classes = iota(x.device, V, { dtype: "f32" });
  const wanted = embedding(where(reshape(ignored, [N]), full(x.device, [], 0, "i32"), targets), reshape(classes, [V, 1]));
  const hit = equal(classes, wanted);
  const chosen = sum(where(hit, logits, zero), { axis: -1, keepDims: true });
  return reshape(where(ignored, zero, sub(logSumExp(logits), chosen)), [N]);
}

/** Cross-entropy of a linear head, summed over the tokens: `scale · Σ (log Σ exp(logits) − logits[target])` with
 *  `logits = x · weightᵀ` in f32. A fast device forms the `[N, V]` logits a few rows at a time.
 *
 *  Under a tape, the gradients are computed in the same pass and only scaled later; they cannot be differentiated again.
 *  @param x `[N, C]`  @param weight `[V, C]`, dtype of x  @param targets i32 `[N]`; −100 carries no loss
 *  @param scale factor of the sum, 1 by default  @returns f32 `[]`, in nats
 *  @throws DeviceError at the next read when a target is neither −100 nor in `[0, V)` */
export function linearCrossEntropy(
  x: Tensor, weight: Tensor, targets: Tensor, { scale = 1 }: Partial<Pick<LossAttrs, "scale">> = {},
): Tensor {
  const weightGradient = isTracked(weight);
  if (isTracked(x) || weightGradient) {
    return scope(() => run(linearCrossEntropyOp, [x, weight, targets], { scale, weightGradient })[0]);
  }
  return scope(() => mul(sum(tokenLosses(x, weight, targets)), scale));
}

/** Cross-entropy of every token of a linear head, in nats; 0 where the target is −100. Its gradient forms the
 *  logits once more.
 *  @param x `[N, C]`  @param weight `[V, C]`, dtype of x  @param targets i32 `[N]`  @returns f32 `[N]` */
export function tokenLosses(x: Tensor, weight: Tensor, targets: Tensor): Tensor {
  return run(tokenLossesOp, [x, weight, targets], null)[0];
}

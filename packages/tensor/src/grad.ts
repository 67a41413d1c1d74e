import { Gradients, walkBack } from "./backward.ts";
import { GradientError } from "./errors.ts";
import { addInto } from "./ops/add-into.ts";
import { full, zeros } from "./ops/full.ts";
import { defineOp, type Op } from "./op.ts";
import { formatShape } from "./shape.ts";
import { own } from "./ownership.ts";
import { scope } from "./scope.ts";
import { record, recording, sealed, Tape } from "./tape.ts";
import { Tensor } from "./tensor.ts";
import { leavesOf, mapTensors, mapTree, tensorsIn, type MapTree } from "./tree.ts";

/** Turns a scalar loss into a function that also returns its gradient with respect to the first argument.
 *
 *  The gradient tree has the structure of `params`; a parameter the loss does not use gets zeros.
 *  Both results belong to the enclosing scope.
 *  @throws GradientError when the loss is not a single float */
export function valueAndGrad<P, R extends unknown[]>(
  loss: (params: P, ...rest: R) => Tensor,
): (params: P, ...rest: R) => [loss: Tensor, gradients: MapTree<P, Tensor>] {
  return (params, ...rest) => differentiate(loss, params, rest, (param, gradient) => (
    adopt(gradient) ?? zeros(param.device, param.shape, param.dtype)
  ));
}

/** Like `valueAndGrad`, but adds the gradients to the tensors of `into`, so that micro-batches need one set of them.
 *  @returns the loss */
export function accumulateGrad<P, R extends unknown[]>(
  loss: (params: P, ...rest: R) => Tensor,
): (into: MapTree<P, Tensor>, params: P, ...rest: R) => Tensor {
  return (into, params, ...rest) => {
    const targets = leavesOf(into).map((leaf) => leaf.tensor);
    let next = 0;
    return differentiate(loss, params, rest, (_, gradient) => {
      const target = targets[next++]!;
      if (gradient !== null) {
        addInto(target, gradient);
        gradient.dispose();
      }
      return target;
    })[0];
  };
}

function differentiate<P, R extends unknown[]>(
  loss: (params: P, ...rest: R) => Tensor, params: P, rest: R,
  collect: (param: Tensor, gradient: Tensor | null) => Tensor,
): [Tensor, MapTree<P, Tensor>] {
  const tape = new Tape();
  const gradients = new Gradients();
  for (const { tensor } of leavesOf(params)) tape.track(tensor);
  try {
    const value = recording(tape, () => scope(() => loss(params, ...rest)));
    if (value.size !== 1 || value.dtype !== "f32") {
      throw new GradientError(`valueAndGrad: expected a loss that is one f32 number, got ${value.dtype} ${formatShape(value.shape)}`);
    }
    scope(() => gradients.add(value, full(value.device, value.shape, 1)));
    walkBack(tape, gradients);
    return [value, mapTree(params, (tensor) => collect(tensor, gradients.take(tensor)))];
  } finally {
    tape.clear();
    gradients.clear();
  }
}

/** Hands a gradient that nobody owned to the enclosing scope. */
function adopt(gradient: Tensor | null): Tensor | null {
  if (gradient !== null) own(gradient);
  return gradient;
}

/** Gradient of any function of tensors: `pull(g)` maps gradients of the results to gradients of the arguments.
 *  The recording of `f` is freed by the one call of `pull`. */
export function pullback<Y extends readonly Tensor[]>(
  f: (...x: Tensor[]) => Y, x: readonly Tensor[],
): { readonly y: Y; readonly pull: (g: readonly (Tensor | null)[]) => (Tensor | null)[] } {
  const tape = new Tape();
  for (const tensor of x) tape.track(tensor);
  const y = recording(tape, () => scope(() => f(...x)));
  const pull = (g: readonly (Tensor | null)[]): (Tensor | null)[] => {
    const gradients = new Gradients();
    try {
      y.forEach((tensor, i) => { if (g[i] != null) gradients.add(tensor, g[i]); });
      walkBack(tape, gradients);
      return x.map((tensor) => adopt(gradients.take(tensor)));
    } finally {
      tape.clear();
      gradients.clear();
    }
  };
  return { y, pull };
}

/** Makes `f` forget its activations: the forward pass keeps only the arguments, and the backward pass runs `f` again.
 *
 *  Chen et al. 2016, "Training Deep Nets with Sublinear Memory Cost".
 *  @param f a function of tensors, or trees of tensors, to one tensor
 *  @throws GradientError when `f` reads a differentiated tensor that is not among its arguments */
export function remat<R extends unknown[]>(f: (...args: R) => Tensor): (...args: R) => Tensor {
  return (...args) => {
    const x = tensorsIn(args);
    const y = sealed(x, () => scope(() => f(...args)));
    record(rematOp((...inputs) => f(...(substitute(args, inputs) as R))), x, [y], null);
    return y;
  };
}

function rematOp(f: (...x: Tensor[]) => Tensor): Op<readonly Tensor[], readonly [Tensor], null> {
  return defineOp<readonly Tensor[], readonly [Tensor], null>({
    name: "remat",
    infer: () => { throw new GradientError("remat: is recorded, never run"); },
    vjp: ([g], x) => pullback((...inputs) => [f(...inputs)] as const, x).pull([g]),
    decompose: null,
  });
}

/** The same arguments with their tensors replaced, in order. */
function substitute(args: readonly unknown[], tensors: readonly Tensor[]): readonly unknown[] {
  let next = 0;
  return mapTensors(args, () => tensors[next++]!);
}

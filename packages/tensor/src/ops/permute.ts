import { ShapeError } from "../errors.ts";
import { defineOp, run, type Op } from "../op.ts";
import { resolveAxis } from "../shape.ts";
import type { Tensor } from "../tensor.ts";

/** `axes[i]` is the input axis that becomes output axis `i`. */
export interface PermuteAttrs {
  readonly axes: readonly number[];
}

export const permuteOp: Op<readonly [Tensor], readonly [Tensor], PermuteAttrs> = defineOp({
  name: "permute",
  infer: ([x], { axes }) => {
    const rank = x.shape.length;
    if (axes.length !== rank || !x.shape.every((_, axis) => axes.includes(axis))) {
      throw new ShapeError(`permute: expected each of the ${rank} axes once, got [${axes.join(", ")}]`);
    }
    return [{ shape: axes.map((axis) => x.shape[axis]!), dtype: x.dtype }];
  },
  vjp: ([g], _, __, { axes }) => [g && permute(g, axes.map((_axis, i) => axes.indexOf(i)))],
  decompose: null,
  saves: { inputs: [], outputs: [] },
});

/** Reorders the axes, as a copy: `axes[i]` becomes axis `i`. Negative axes count from the back.
 *  @throws ShapeError unless every axis is there once */
export function permute(x: Tensor, axes: readonly number[]): Tensor {
  return run(permuteOp, [x], { axes: axes.map((axis) => resolveAxis("permute", axis, x.shape.length)) })[0];
}

/** Swaps two axes, as a copy; by default the last two. */
export function transpose(x: Tensor, a = -2, b = -1): Tensor {
  const axes = x.shape.map((_, i) => i);
  const [i, j] = [resolveAxis("transpose", a, axes.length), resolveAxis("transpose", b, axes.length)];
  [axes[i], axes[j]] = [axes[j]!, axes[i]!];
  return permute(x, axes);
}

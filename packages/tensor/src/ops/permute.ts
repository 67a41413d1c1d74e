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
    if (axes.length !== x.shape.length || new Set(axes).size !== axes.length) {
      throw new ShapeError(`permute: expected each of ${x.shape.length} axes once, got [${axes.join(", ")}]`);
    }
    return [{ shape: axes.map((a) => x.shape[resolveAxis("permute", a, axes.length)]!), dtype: x.dtype }];
  },
  vjp: ([g], _, __, { axes }) => [g && permute(g, axes.map((_axis, i) => axes.indexOf(i)))],
  decompose: null,
  saves: { inputs: [], outputs: [] },
});

/** Reorders the axes, as a copy. */
export function permute(x: Tensor, axes: readonly number[]): Tensor {
  return run(permuteOp, [x], { axes })[0];
}

/** Swaps two axes, as a copy; by default the last two. */
export function transpose(x: Tensor, a = -2, b = -1): Tensor {
  const axes = x.shape.map((_, i) => i);
  const [i, j] = [resolveAxis("transpose", a, axes.length), resolveAxis("transpose", b, axes.length)];
  [axes[i], axes[j]] = [axes[j]!, axes[i]!];
  return permute(x, axes);
}

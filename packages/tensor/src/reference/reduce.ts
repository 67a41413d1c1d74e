import type { KernelOf } from "../op.ts";
import type { argmaxOp } from "../ops/argmax.ts";
import type { maxOp } from "../ops/max.ts";
import { aroundAxis, type ReduceAttrs } from "../ops/reduce.ts";
import type { sumOp } from "../ops/sum.ts";
import type { Tensor } from "../tensor.ts";
import { load, store } from "./memory.ts";

/** Folds every line of elements along one axis. */
function fold(y: Tensor, x: Tensor, { axis }: ReduceAttrs, line: (at: (r: number) => number, length: number) => number): void {
  const { outer, reduced, inner } = aroundAxis(x.shape, axis);
  const values = load(x);
  const result = new Float64Array(outer * inner);
  for (let o = 0; o < outer; o++) {
    for (let i = 0; i < inner; i++) {
      result[o * inner + i] = line((r) => values[(o * reduced + r) * inner + i]!, reduced);
    }
  }
  store(y, result);
}

export const sumKernel: KernelOf<typeof sumOp> = ([y], [x], attrs) => fold(y, x, attrs, (at, length) => {
  let total = 0;
  for (let r = 0; r < length; r++) total += at(r);
  return total;
});

export const maxKernel: KernelOf<typeof maxOp> = ([y], [x], attrs) => fold(y, x, attrs, (at, length) => {
  let top = -Infinity;
  for (let r = 0; r < length; r++) top = Math.max(top, at(r));
  return top;
});

export const argmaxKernel: KernelOf<typeof argmaxOp> = ([y], [x], attrs) => fold(y, x, attrs, (at, length) => {
  let best = 0;
  for (let r = 1; r < length; r++) {
    if (at(r) > at(best) || (Number.isNaN(at(r)) && !Number.isNaN(at(best)))) best = r;
  }
  return best;
});

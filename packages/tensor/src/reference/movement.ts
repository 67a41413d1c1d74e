import type { KernelOf } from "../op.ts";
import type { assignSliceOp } from "../ops/assign-slice.ts";
import type { broadcastToOp } from "../ops/broadcast-to.ts";
import type { concatOp } from "../ops/concat.ts";
import type { permuteOp } from "../ops/permute.ts";
import { aroundAxis } from "../ops/reduce.ts";
import type { padOp, sliceOp } from "../ops/slice.ts";
import { stridesOf } from "../shape.ts";
import { loadBroadcast, offsetsOf } from "./elementwise.ts";
import { load, store } from "./memory.ts";

export const permuteKernel: KernelOf<typeof permuteOp> = ([y], [x], { axes }) => {
  const strides = stridesOf(x.shape);
  const values = load(x);
  const order = axes.map((axis) => strides[axis]!);
  store(y, Float64Array.from(offsetsOf(y.shape, order), (offset) => values[offset]!));
};

export const broadcastToKernel: KernelOf<typeof broadcastToOp> = ([y], [x]) => store(y, loadBroadcast(x, y.shape));

export const sliceKernel: KernelOf<typeof sliceOp> = ([y], [x], { axis, start, end }) => {
  const { outer, reduced, inner } = aroundAxis(x.shape, axis);
  const values = load(x);
  const result = new Float64Array(y.size);
  for (let o = 0; o < outer; o++) {
    result.set(values.subarray((o * reduced + start) * inner, (o * reduced + end) * inner), o * (end - start) * inner);
  }
  store(y, result);
};

export const padKernel: KernelOf<typeof padOp> = ([y], [x], { axis, before }) => {
  const { outer, reduced, inner } = aroundAxis(x.shape, axis);
  const values = load(x);
  const result = new Float64Array(y.size);
  for (let o = 0; o < outer; o++) {
    result.set(values.subarray(o * reduced * inner, (o + 1) * reduced * inner), (o * y.shape[axis]! + before) * inner);
  }
  store(y, result);
};

export const concatKernel: KernelOf<typeof concatOp> = ([y], parts, { axis }) => {
  const { outer, reduced, inner } = aroundAxis(y.shape, axis);
  const result = new Float64Array(y.size);
  let start = 0;
  for (const part of parts) {
    const values = load(part);
    const run = part.shape[axis]! * inner;
    for (let o = 0; o < outer; o++) result.set(values.subarray(o * run, (o + 1) * run), o * reduced * inner + start);
    start += run;
  }
  store(y, result);
};

export const assignSliceKernel: KernelOf<typeof assignSliceOp> = ([target, source], { axis, start }) => {
  const { outer, reduced, inner } = aroundAxis(target.shape, axis);
  const run = source.shape[axis]! * inner;
  const values = load(source);
  const result = Float64Array.from(load(target));
  for (let o = 0; o < outer; o++) result.set(values.subarray(o * run, (o + 1) * run), (o * reduced + start) * inner);
  store(target, result);
};

import { dtypes } from "@danu/tensor";
import fc from "fast-check";

import { axisSizes, broadcastable, seeds, shapes, shapesWithAxis } from "../arbitraries.ts";
import { hostTensor } from "../host-tensor.ts";
import type { PrimitiveCases } from "./case.ts";

const small = fc.nat({ max: 5 });

export const movementCases: Pick<
  PrimitiveCases,
  "permute" | "slice" | "pad" | "concat" | "assignSlice" | "broadcastTo"
> = {
  permute: {
    dtypes,
    sample: (dtype) =>
      fc.tuple(shapes(), seeds).chain(([shape, seed]) => {
        const order = shape.map((_, i) => i);
        return fc
          .shuffledSubarray(order, { minLength: order.length })
          .map((axes) => ({ x: [hostTensor(dtype, shape, seed, "adversarial")], attrs: { axes } }));
      }),
    bound: () => "bits",
  },
  slice: {
    dtypes,
    sample: (dtype) =>
      fc.tuple(shapesWithAxis(), seeds).chain(([{ shape, axis }, seed]) => {
        const edge = fc.nat({ max: shape[axis]! });
        return fc
          .tuple(edge, edge)
          .map(([a, b]) => ({
            x: [hostTensor(dtype, shape, seed, "adversarial")],
            attrs: { axis, start: Math.min(a, b), end: Math.max(a, b) },
          }));
      }),
    bound: () => "bits",
  },
  pad: {
    dtypes,
    sample: (dtype) =>
      fc
        .tuple(shapesWithAxis(), seeds, small, small)
        .map(([{ shape, axis }, seed, before, after]) => ({
          x: [hostTensor(dtype, shape, seed, "adversarial")],
          attrs: { axis, before, after },
        })),
    bound: () => "bits",
  },
  concat: {
    dtypes,
    sample: (dtype) =>
      fc
        .tuple(shapesWithAxis({ maxSize: 60 }), seeds, fc.array(axisSizes, { minLength: 1, maxLength: 4 }))
        .map(([{ shape, axis }, seed, sizes]) => ({
          x: sizes.map((n, i) => hostTensor(dtype, shape.with(axis, n), seed + i, "adversarial")),
          attrs: { axis },
        })),
    bound: () => "bits",
  },
  assignSlice: {
    dtypes,
    sample: (dtype) =>
      fc.tuple(shapesWithAxis(), seeds, fc.nat(), fc.nat()).map(([{ shape, axis }, seed, size, from]) => {
        const n = size % (shape[axis]! + 1);
        return {
          x: [
            hostTensor(dtype, shape, seed, "adversarial"),
            hostTensor(dtype, shape.with(axis, n), seed + 1, "adversarial"),
          ],
          attrs: { axis, start: from % (shape[axis]! - n + 1) },
        };
      }),
    bound: () => "bits",
  },
  broadcastTo: {
    dtypes,
    sample: (dtype) =>
      fc.tuple(broadcastable(2), seeds).map(([[a, b], seed]) => {
        const shape = b!.map((n, i) => (n === 1 ? a![i - b!.length + a!.length] ?? 1 : n));
        return { x: [hostTensor(dtype, a!, seed, "adversarial")], attrs: { shape } };
      }),
    bound: () => "bits",
  },
};

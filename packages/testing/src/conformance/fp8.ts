import * as t from "@danu/tensor";
import fc from "fast-check";

import { axisSizes, seeds, shapes } from "../arbitraries.ts";
import { hostTensor, rounded, type HostTensor } from "../host-tensor.ts";
import { randomSource } from "../random.ts";
import { conformanceCase, type ConformanceCase } from "./case.ts";
import { computed } from "./elementwise.ts";

const { count } = t.fp8Columns;

/** A scaling with factors that are powers of two: no device rounds a product with them, so that all cast to the same fp8. */
function scaling(seed: number): HostTensor {
  const random = randomSource(seed);
  const rows = t.fp8Rows.map(() => {
    const scale = 2 ** Math.floor(random() * 9 - 4);
    return [scale, 1 / scale, ...new Array<number>(count - 2).fill(0)];
  });
  return { shape: [rows.length, count], dtype: "f32", values: rows.flat() };
}

const rows = shapes({ maxRank: 3, maxSize: 20 });
// Tensor cores take multiples of 16.
const width = fc.oneof(axisSizes, fc.constantFrom(16, 32, 64));

const fp8Linear = conformanceCase(t.fp8LinearOp, {
  dtypes: computed,
  sample: (dtype) =>
    fc.tuple(rows, width, width, fc.boolean(), seeds).map(([shape, C, O, residual, seed]) => ({
      x: [
        hostTensor(dtype, [...shape, C], seed),
        hostTensor(dtype, [O, C], seed + 1),
        residual ? hostTensor(dtype, [...shape, O], seed + 2) : null,
        scaling(seed + 3),
      ],
      attrs: { calibrate: false },
    })),
  bound: ({ x: [, weight] }) => ({ sum: weight.shape[1]! + 4 }),
});

const fp8LinearGrad = conformanceCase(t.fp8LinearGradOp, {
  dtypes: computed,
  sample: (dtype) =>
    fc.tuple(rows, width, width, fc.boolean(), fc.boolean(), seeds).map(([shape, C, O, needsInput, needsWeight, seed]) => ({
      x: [
        hostTensor(dtype, [...shape, O], seed),
        hostTensor(dtype, [...shape, C], seed + 1),
        hostTensor(dtype, [O, C], seed + 2),
        scaling(seed + 3),
      ],
      attrs: { calibrate: false, needsInput, needsWeight },
    })),
  bound: ({ x: [g] }) => [{ sum: g.shape.at(-1)! + 4 }, { sum: t.sizeOf(g.shape.slice(0, -1)) + 4 }],
});

/** Largest magnitudes as training leaves them, none of them once in a while, or not finite. */
function magnitudes(seed: number): HostTensor {
  const random = randomSource(seed);
  const draw = (): number => {
    const kind = random();
    return kind < 0.1 ? 0 : kind < 0.12 ? Infinity : kind < 0.14 ? NaN : 10 ** (random() * 12 - 6);
  };
  const values = t.fp8Rows.flatMap(() => {
    const none = random() < 0.2;
    return [2, 0.5, ...Array.from({ length: count - 2 }, () => (none ? 0 : draw()))];
  });
  return { shape: [t.fp8Rows.length, count], dtype: "f32", values: rounded("f32", values) };
}

const fp8Update = conformanceCase(t.fp8UpdateOp, {
  dtypes: ["f32"],
  sample: () => fc.tuple(seeds, fc.constantFrom(0.5, 1)).map(([seed, margin]) => ({ x: [magnitudes(seed)], attrs: { margin } })),
  bound: () => ({ relative: 4 }),
});

/** Cases of linear layers in fp8. */
export const fp8Cases: readonly ConformanceCase[] = [fp8Linear, fp8LinearGrad, fp8Update];

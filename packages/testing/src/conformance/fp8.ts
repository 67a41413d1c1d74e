import * as t from "@danu/tensor";
import fc from "fast-check";

import { axisSizes, seeds, shapes } from "../arbitraries.ts";
import { hostTensor, rounded, type HostTensor } from "../host-tensor.ts";
import { randomSource } from "../random.ts";
import { conformanceCase, type ConformanceCase, type Slack } from "./case.ts";
import { computed } from "./elementwise.ts";
import { inverseRms } from "./fused.ts";

const { count } = t.fp8Columns;

/** A scaling with factors that are powers of two: no device rounds a product with them, so that all cast to the same fp8. */
export function scaling(seed: number): HostTensor {
  const random = randomSource(seed);
  const rows = t.fp8Rows.map(() => {
    const scale = 2 ** Math.floor(random() * 9 - 4);
    return [1 / scale, 1, scale, ...new Array<number>(count - 3).fill(0)];
  });
  return { shape: [rows.length, count], dtype: "f32", values: rows.flat() };
}

const rows = shapes({ maxRank: 3, maxSize: 20 });
// Tensor cores take multiples of 16.
const width = fc.oneof(axisSizes, fc.constantFrom(16, 32, 64));

/** Weights as fp8 keeps them. */
function cast(O: number, C: number, seed: number): HostTensor {
  return hostTensor("f8e4m3", [O, C], seed);
}

/** What a sum of products of fp8 may lose: four of the last of 13 binary places, since tensor cores add them in fixed point. */
const FIXED_POINT = 4 * 2 ** 11;

const fp8Linear = conformanceCase(t.fp8LinearOp, {
  dtypes: computed,
  sample: (dtype) =>
    fc.tuple(rows, width, width, fc.boolean(), seeds).map(([shape, C, O, residual, seed]) => ({
      x: [
        hostTensor(dtype, [...shape, C], seed),
        hostTensor(dtype, [O, C], seed + 1),
        residual ? hostTensor(dtype, [...shape, O], seed + 2) : null,
        scaling(seed + 3), cast(O, C, seed + 4), cast(C, O, seed + 5),
      ],
      fixed: [4, 5],
      attrs: { calibrate: false },
    })),
  bound: ({ x: [, weight] }) => ({ sum: weight.shape[1]! + 4 + FIXED_POINT }),
});

/** Copies of a gradient, as the op before would have made them. */
function copies(rows: number, C: number, seed: number): readonly [rowwise: HostTensor, transposed: HostTensor] {
  const rowwise = hostTensor("f8e5m2", [rows, C], seed);
  const padded = t.fp8Padded(rows);
  const values = Array.from({ length: C * padded }, (_, i) => (i % padded < rows ? rowwise.values[(i % padded) * C + Math.floor(i / padded)]! : 0));
  return [rowwise, { shape: [C, padded], dtype: "f8e5m2", values }];
}

/** Bounds of the copies that are made of a gradient, from that of the gradient; the factors of `scaling` are 16 at most. */
export function copyBounds({ absolute }: { readonly absolute: number }): readonly Slack[] {
  return [0, 1].map(() => ({ absolute: 16 * absolute, relative: OTHER_NEIGHBOUR }));
}

const fp8LinearGrad = conformanceCase(t.fp8LinearGradOp, {
  dtypes: computed,
  sample: (dtype) =>
    fc.tuple(rows, width, width, fc.boolean(), fc.boolean(), fc.boolean(), seeds).map(([shape, C, O, needsInput, needsWeight, isCast, seed]) => ({
      x: [
        hostTensor(dtype, [...shape, O], seed),
        hostTensor(dtype, [...shape, C], seed + 1),
        scaling(seed + 3), cast(C, O, seed + 4), ...(isCast ? copies(t.sizeOf(shape), O, seed + 5) : [null, null] as const),
      ],
      fixed: [3, 4, 5],
      attrs: { calibrate: false, needsInput, needsWeight },
    })),
  bound: ({ x: [g] }) => [{ sum: g.shape.at(-1)! + 4 + FIXED_POINT }, { sum: t.sizeOf(g.shape.slice(0, -1)) + 4 + FIXED_POINT }],
});

/** What a number may be off that lies between two of fp8 and is cast to the other one, as a share of itself: a quarter in e5m2. */
export const OTHER_NEIGHBOUR: number = 2 ** 22;

const widths = fc.array(width, { minLength: 1, maxLength: 3 });

const fp8NormLinears = conformanceCase(t.fp8NormLinearsOp, {
  dtypes: computed,
  sample: (dtype) =>
    fc.tuple(rows, width, widths, seeds).map(([shape, C, outputs, seed]) => {
      const all = outputs.reduce((sum, O) => sum + O, 0);
      return {
        x: [
          hostTensor(dtype, [...shape, C], seed), hostTensor(dtype, [C], seed + 1), scaling(seed + 2), cast(all, C, seed + 3), cast(C, all, seed + 4),
          ...outputs.map((O, i) => hostTensor(dtype, [O, C], seed + 5 + i)),
        ],
        fixed: [3, 4],
        attrs: { eps: 1e-5, calibrate: false },
      };
    }),
  bound: ({ x: [x, , , , , ...weights] }) => [{ relative: x.shape.at(-1)! + 16 }, ...weights.map(() => ({ sum: OTHER_NEIGHBOUR }))],
});

/** Large enough that rows of almost nothing are not blown up: a gradient's bound would be of no use then. */
export const gradientEps = 0.1;

/** Gradients of an input are differences, which no sum of magnitudes bounds: the largest that any of these samples may have. */
export function inputGradientBound({ shape: [C] }: HostTensor, outputs: number): { readonly absolute: number; readonly steps: number } {
  return { absolute: 2 ** 22 * C! * outputs, steps: 1 };
}

const fp8NormLinearsGrad = conformanceCase(t.fp8NormLinearsGradOp, {
  dtypes: computed,
  sample: (dtype) =>
    fc.tuple(rows, width, widths, fc.boolean(), fc.boolean(), fc.boolean(), seeds).map(([shape, C, outputs, needsWeights, residual, isCast, seed]) => {
      const x = hostTensor(dtype, [...shape, C], seed);
      return {
        x: [
          x, hostTensor(dtype, [C], seed + 1), inverseRms(x, gradientEps), scaling(seed + 2), cast(C, outputs.reduce((sum, O) => sum + O, 0), seed + 3),
          residual ? hostTensor(dtype, x.shape, seed + 8) : null, isCast ? scaling(seed + 9) : null,
          ...outputs.map((O, i) => hostTensor(dtype, [...shape, O], seed + 4 + i)),
        ],
        fixed: [4],
        attrs: { eps: gradientEps, calibrate: false, needsWeights },
      };
    }),
  bound: ({ x: [x, norm, , , transposed, , , ...g] }) => {
    const ofInput = inputGradientBound(norm, transposed.shape[1]!);
    const ofNorm = inputGradientBound({ ...norm, shape: [x.values.length] }, transposed.shape[1]!);
    return [ofInput, ofNorm, ...copyBounds(ofInput), ...g.map(() => ({ sum: OTHER_NEIGHBOUR }))];
  },
});

const fp8FeedForward = conformanceCase(t.fp8FeedForwardOp, {
  dtypes: computed,
  sample: (dtype) =>
    fc.tuple(rows, width, width, seeds).map(([shape, C, F, seed]) => ({
      x: [
        hostTensor(dtype, [...shape, C], seed), hostTensor(dtype, [C], seed + 1),
        hostTensor(dtype, [F, C], seed + 2), hostTensor(dtype, [F, C], seed + 3), hostTensor(dtype, [C, F], seed + 4),
        scaling(seed + 5), cast(2 * F, C, seed + 6), cast(C, 2 * F, seed + 7), scaling(seed + 8), cast(C, F, seed + 9), cast(F, C, seed + 10),
      ],
      fixed: [6, 7, 9, 10],
      attrs: { eps: 1e-5, calibrate: false },
    })),
  bound: ({ x: [x] }) => [{ sum: OTHER_NEIGHBOUR }, { relative: x.shape.at(-1)! + 16 }, { sum: OTHER_NEIGHBOUR }],
});

const fp8FeedForwardGrad = conformanceCase(t.fp8FeedForwardGradOp, {
  dtypes: computed,
  sample: (dtype) =>
    fc.tuple(rows, width, width, fc.boolean(), fc.boolean(), fc.boolean(), seeds).map(([shape, C, F, needsWeights, isCast, castsNext, seed]) => {
      const x = hostTensor(dtype, [...shape, C], seed);
      return {
        x: [
          hostTensor(dtype, [...shape, C], seed + 1), x, hostTensor(dtype, [C], seed + 2), inverseRms(x, gradientEps), hostTensor(dtype, [...shape, 2 * F], seed + 3),
          scaling(seed + 4), cast(C, 2 * F, seed + 5), scaling(seed + 6), cast(F, C, seed + 7),
          ...(isCast ? copies(t.sizeOf(shape), C, seed + 8) : [null, null] as const), hostTensor(dtype, x.shape, seed + 9), castsNext ? scaling(seed + 10) : null,
        ],
        fixed: [6, 8, 9, 10],
        attrs: { eps: gradientEps, calibrate: false, needsWeights },
      };
    }),
  bound: ({ x: [, x, norm, , gateUp] }) => {
    const F = gateUp.shape.at(-1)!;
    const weight = { sum: OTHER_NEIGHBOUR };
    const ofNorm = inputGradientBound({ ...norm, shape: [x.values.length] }, F * norm.shape[0]!);
    const ofInput = inputGradientBound(norm, F * norm.shape[0]!);
    return [ofInput, ofNorm, weight, weight, weight, ...copyBounds(ofInput)];
  },
});

const writeFp8 = conformanceCase(t.writeFp8Op, {
  dtypes: ["f32", "bf16"],
  sample: (dtype) =>
    fc.tuple(width, widths, fc.boolean(), seeds).map(([C, outputs, calibrate, seed]) => {
      const all = outputs.reduce((sum, O) => sum + O, 0);
      // With a power of two as its largest magnitude, the factor of a matrix is exact as well.
      const weights = outputs.map((O, i) => hostTensor(dtype, [O, C], seed + i));
      const bounded = weights.map((weight) => ({ ...weight, values: weight.values.map((value, i) => (i === 0 ? 8 : value)) }));
      return { x: [scaling(seed), cast(all, C, seed + 8), cast(C, all, seed + 9), ...bounded], attrs: { calibrate, margin: 0.5 }, fixed: [1, 2] };
    }),
  bound: () => "value",
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
    return [0.5, 1, 2, ...Array.from({ length: count - 3 }, () => (none ? 0 : draw()))];
  });
  return { shape: [t.fp8Rows.length, count], dtype: "f32", values: rounded("f32", values) };
}

const fp8Update = conformanceCase(t.fp8UpdateOp, {
  dtypes: ["f32"],
  sample: () => fc.tuple(fc.array(seeds, { minLength: 1, maxLength: 3 }), fc.constantFrom(0.5, 1)).map(([own, margin]) => ({ x: own.map(magnitudes), attrs: { margin } })),
  bound: () => ({ relative: 4 }),
});

/** Cases of layers in fp8. */
export const fp8Cases: readonly ConformanceCase[] = [
  fp8Linear, fp8LinearGrad, fp8NormLinears, fp8NormLinearsGrad, fp8FeedForward, fp8FeedForwardGrad, writeFp8, fp8Update,
];

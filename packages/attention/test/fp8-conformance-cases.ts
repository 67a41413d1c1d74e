import {
  conformanceCase, copyBounds, gradientEps, hostIntegers, hostScaling, hostTensor, inputGradientBound, inverseRms, OTHER_NEIGHBOUR, rounded, seeds,
  type ConformanceCase, type HostTensor,
} from "@danu/testing";
import fc from "fast-check";

import { fp8QueryKeyValueGradOp, fp8QueryKeyValueOp } from "../src/index.ts";

const computed = ["f32", "bf16", "f16"] as const;
const P = 40;

const sizes = fc.record({
  B: fc.constantFrom(1, 2, 0), T: fc.constantFrom(1, 3, 20, 140),
  // Tensor cores take multiples of 16.
  C: fc.constantFrom(1, 3, 16, 32),
  heads: fc.constantFrom(...[[2, 3, 1], [8, 2, 2], [16, 5, 1], [16, 4, 2], [80, 1, 1], [120, 2, 2]] as const),
});

/** Cosines and sines of any angles, which need not belong together. */
function table(D: number, seed: number): HostTensor {
  return { shape: [P, D], dtype: "f32", values: rounded("f32", Array.from({ length: P * D }, (_, i) => Math.cos(seed + i))) };
}

function largest({ values }: HostTensor): number {
  return values.reduce((top, value) => Math.max(top, Math.abs(value)), 0);
}

/** Most that what a norm leaves of a row adds up to. */
function longestRow(x: HostTensor, norm: HostTensor): number {
  const C = norm.values.length;
  const rms = inverseRms(x, gradientEps).values;
  const rows = rms.map((factor, row) => norm.values.reduce((sum, weight, c) => sum + Math.abs(x.values[row * C + c]! * factor * weight), 0));
  return Math.max(0, ...rows);
}

const fp8QueryKeyValue = conformanceCase(fp8QueryKeyValueOp, {
  dtypes: computed,
  sample: (dtype) =>
    fc.tuple(sizes, seeds).map(([{ B, T, C, heads: [D, H, G] }, seed]) => {
      const O = (H + 2 * G) * D;
      return {
        x: [
          hostTensor(dtype, [B, T, C], seed), hostTensor(dtype, [C], seed + 1), hostScaling(seed + 2),
          hostTensor("f8e4m3", [O, C], seed + 3), hostTensor("f8e4m3", [C, O], seed + 4), table(D, seed), hostIntegers("i32", [B, T], seed + 5, P),
          hostTensor(dtype, [H * D, C], seed + 6), hostTensor(dtype, [G * D, C], seed + 7), hostTensor(dtype, [G * D, C], seed + 8),
        ],
        fixed: [3, 4],
        attrs: { eps: gradientEps, calibrate: false },
      };
    }),
  bound: ({ x: [x, norm, { shape: [, count], values }, rowwise] }) => {
    // What is turned is a difference, which no sum of magnitudes bounds.
    const turned = { absolute: 2 * OTHER_NEIGHBOUR * longestRow(x, norm) * largest(rowwise) * values[count! + 1]! };
    return [{ relative: x.shape.at(-1)! + 16 }, turned, turned, { sum: OTHER_NEIGHBOUR }];
  },
  failing: () => ({
    x: [
      hostTensor("bf16", [1, 3, 16], 1), hostTensor("bf16", [16], 2), hostScaling(3), hostTensor("f8e4m3", [48, 16], 4), hostTensor("f8e4m3", [16, 48], 5),
      table(16, 1), { shape: [1, 3], dtype: "i32", values: [0, P, -1] },
      hostTensor("bf16", [16, 16], 6), hostTensor("bf16", [16, 16], 7), hostTensor("bf16", [16, 16], 8),
    ],
    attrs: { eps: gradientEps, calibrate: false },
  }),
});

const fp8QueryKeyValueGrad = conformanceCase(fp8QueryKeyValueGradOp, {
  dtypes: computed,
  sample: (dtype) =>
    fc.tuple(sizes, fc.boolean(), fc.boolean(), fc.boolean(), seeds).map(([{ B, T, C, heads: [D, H, G] }, needsWeights, residual, isCast, seed]) => {
      const x = hostTensor(dtype, [B, T, C], seed);
      return {
        x: [
          x, hostTensor(dtype, [C], seed + 1), inverseRms(x, gradientEps), hostScaling(seed + 2), hostTensor("f8e4m3", [C, (H + 2 * G) * D], seed + 3),
          table(D, seed), hostIntegers("i32", [B, T], seed + 4, P),
          hostTensor(dtype, [B, T, H, D], seed + 5), hostTensor(dtype, [B, T, G, D], seed + 6), hostTensor(dtype, [B, T, G, D], seed + 7),
          residual ? hostTensor(dtype, x.shape, seed + 8) : null, isCast ? hostScaling(seed + 9) : null,
        ],
        fixed: [4],
        attrs: { eps: gradientEps, calibrate: false, needsWeights },
      };
    }),
  bound: ({ x: [x, norm, rms, , transposed, , , gQ, gK] }) => {
    // Turned by any angles, a gradient may grow to twice its size.
    const O = 2 * transposed.shape[1]!;
    const ofTurned = (g: HostTensor): { readonly absolute: number } => (
      { absolute: 4 * OTHER_NEIGHBOUR * rms.values.length * largest(g) * largest(x) * largest(rms) * largest(norm) }
    );
    const ofNorm = inputGradientBound({ ...norm, shape: [x.values.length] }, O);
    const ofInput = inputGradientBound(norm, O);
    return [ofInput, ofNorm, ofTurned(gQ), ofTurned(gK), { sum: OTHER_NEIGHBOUR }, ...copyBounds(ofInput)];
  },
});

/** Cases of queries, keys and values in fp8. */
export const fp8AttentionCases: readonly ConformanceCase[] = [fp8QueryKeyValue, fp8QueryKeyValueGrad];

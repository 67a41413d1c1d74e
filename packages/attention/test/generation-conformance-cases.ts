import { conformanceCase, hostIntegers, hostTensor, normedProductBound, rounded, seeds, type ConformanceCase, type HostTensor } from "@danu/testing";
import fc from "fast-check";

import { queryKeyValueOp } from "../src/index.ts";

const P = 40;

/** Cosines and sines of any angles, which need not belong together. */
function table(D: number, seed: number): HostTensor {
  return { shape: [P, D], dtype: "f32", values: rounded("f32", Array.from({ length: P * D }, (_, i) => Math.cos(seed + i))) };
}

const queryKeyValue = conformanceCase(queryKeyValueOp, {
  dtypes: ["f32", "bf16", "f16"],
  sample: (dtype) =>
    fc
      .tuple(
        fc.constantFrom([1, 1], [1, 3], [2, 8], [3, 7], [0, 1]), fc.constantFrom(1, 3, 8, 32, 136),
        fc.constantFrom(...[[2, 3, 1], [8, 2, 2], [16, 4, 2], [20, 2, 1], [80, 2, 1]] as const), seeds,
      )
      .map(([[B, T], C, [D, H, G], seed]) => ({
        x: [
          hostTensor(dtype, [B!, T!, C], seed), hostTensor(dtype, [C], seed + 1),
          hostTensor(dtype, [H * D, C], seed + 2), hostTensor(dtype, [G * D, C], seed + 3), hostTensor(dtype, [G * D, C], seed + 4),
          table(D, seed), hostIntegers("i32", [B!, T!], seed + 5, P),
        ],
        attrs: { eps: 1e-5 },
      })),
  bound: ({ x: [x, norm, ...weights], attrs: { eps } }) => (
    // What is turned is a sum of two products.
    weights.slice(0, 3).map((weight) => ({ absolute: 2 * normedProductBound(x, norm, weight, eps).error.absolute }))
  ),
  failing: () => ({
    x: [
      hostTensor("bf16", [1, 3, 16], 1), hostTensor("bf16", [16], 2),
      hostTensor("bf16", [32, 16], 3), hostTensor("bf16", [16, 16], 4), hostTensor("bf16", [16, 16], 5),
      table(16, 1), { shape: [1, 3], dtype: "i32", values: [0, P, -1] },
    ],
    attrs: { eps: 1e-5 },
  }),
});

/** Cases of what generation computes before it attends. */
export const generationAttentionCases: readonly ConformanceCase[] = [queryKeyValue];

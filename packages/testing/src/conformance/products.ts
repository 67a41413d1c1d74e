import { isFloat, type ReduceAttrs, type Shape, type Tensor } from "@danu/tensor";
import fc from "fast-check";

import { axisSizes, seeds, shapes, shapesWithAxis } from "../arbitraries.ts";
import { hostIntegers, hostTensor, type HostTensor } from "../host-tensor.ts";
import { randomSource } from "../random.ts";
import type { PrimitiveCases, Sample } from "./case.ts";
import { computed } from "./elementwise.ts";

/** Moderate or wide values, one time in four with a few NaN and infinities among them. */
export function summands(dtype: HostTensor["dtype"], shape: readonly number[], seed: number): HostTensor {
  const random = randomSource(seed);
  const x = hostTensor(dtype, shape, seed, random() < 0.3 ? "wide" : "moderate");
  if (!isFloat(dtype) || random() < 0.75) return x;
  const special = [NaN, Infinity, -Infinity];
  return { ...x, values: x.values.map((value) => (random() < 0.02 ? special[Math.floor(random() * 3)]! : value)) };
}

/** Shapes with an axis to reduce, some of them long. */
const lines = fc.oneof(
  { weight: 8, arbitrary: shapesWithAxis() },
  {
    weight: 1,
    arbitrary: fc
      .tuple(fc.constantFrom(1000, 2051), fc.nat({ max: 2 }))
      .map(([n, axis]) => ({ shape: [1, 2, 1].with(axis, n), axis })),
  }
);

function lengthOf({ x: [x], attrs: { axis } }: Sample<readonly [Tensor], ReduceAttrs>): number {
  return x.shape[axis]!;
}

/** Matrices of all sizes, kept small enough for the oracle. */
const batches: readonly (readonly [Shape, Shape])[] = [
  [[2], [2]],
  [[3], []],
  [[], [3]],
  [[2, 1], [3]],
  [
    [1, 3],
    [2, 1],
  ],
  [[0], [1]],
];
const matmulSizes = fc
  .tuple(
    fc.oneof(
      { weight: 3, arbitrary: fc.constant<readonly [Shape, Shape]>([[], []]) },
      { weight: 1, arbitrary: fc.constantFrom(...batches) }
    ),
    ...[0, 1, 2].map(() =>
      fc.oneof({ weight: 9, arbitrary: axisSizes }, { weight: 1, arbitrary: fc.constantFrom(200, 256, 257) })
    )
  )
  .map(([batch, m, n, k]) => {
    const sizes = [m!, n!, k!];
    while (sizes[0]! * sizes[1]! * sizes[2]! > 400_000) sizes[sizes.indexOf(Math.max(...sizes))]! >>= 1;
    return { batch, sizes: sizes as [number, number, number] };
  });

export const productCases: Pick<
  PrimitiveCases,
  "sum" | "max" | "argmax" | "matmul" | "embedding" | "embeddingGrad"
> = {
  sum: {
    dtypes: [...computed, "i32"],
    sample: (dtype) =>
      fc.tuple(lines, seeds).map(([{ shape, axis }, seed]) => ({ x: [summands(dtype, shape, seed)], attrs: { axis } })),
    bound: (sample) => (isFloat(sample.x[0].dtype) ? { sum: lengthOf(sample) } : "value"),
  },
  max: {
    dtypes: [...computed, "i32"],
    sample: (dtype) =>
      fc
        .tuple(lines, seeds)
        .map(([{ shape, axis }, seed]) => ({
          x: [hostTensor(dtype, shape, seed, seed % 2 === 0 ? "adversarial" : "moderate")],
          attrs: { axis },
        })),
    bound: () => "value",
  },
  argmax: {
    dtypes: [...computed, "i32"],
    sample: (dtype) =>
      fc
        .tuple(lines, seeds)
        .map(([{ shape, axis }, seed]) => ({
          x: [
            hostTensor(
              dtype,
              shape.with(axis, Math.max(shape[axis]!, 1)),
              seed,
              seed % 2 === 0 ? "adversarial" : "moderate"
            ),
          ],
          attrs: { axis },
        })),
    bound: () => "value",
  },
  matmul: {
    dtypes: computed,
    sample: (dtype) =>
      fc.tuple(matmulSizes, seeds, fc.boolean(), fc.boolean(), fc.boolean()).map(
        ([
          {
            batch,
            sizes: [M, N, K],
          },
          seed,
          transposeA,
          transposeB,
          wide,
        ]) => ({
          x: [
            summands(dtype, [...batch[0], ...(transposeA ? [K, M] : [M, K])], seed),
            summands(dtype, [...batch[1], ...(transposeB ? [N, K] : [K, N])], seed + 1),
          ],
          attrs: { transposeA, transposeB, dtype: wide ? "f32" : dtype },
          exactAttrs: { transposeA, transposeB, dtype: "f32" },
        })
      ),
    bound: ({ x: [a], attrs }) => ({ sum: a.shape.at(attrs.transposeA ? -2 : -1)! }),
  },
  embedding: {
    dtypes: computed,
    sample: (dtype) =>
      fc
        .tuple(shapes({ maxRank: 2, maxSize: 100 }), fc.integer({ min: 1, max: 40 }), axisSizes, seeds)
        .map(([shape, V, C, seed]) => ({
          x: [hostIntegers("i32", shape, seed, V), hostTensor(dtype, [V, C], seed + 1, "adversarial")],
          attrs: null,
        })),
    bound: () => "bits",
    failing: () => ({
      x: [{ shape: [3], dtype: "i32", values: [0, 5, -1] }, hostTensor("f32", [5, 2], 1)],
      attrs: null,
    }),
  },
  embeddingGrad: {
    dtypes: computed,
    sample: (dtype) =>
      fc
        .tuple(shapes({ maxRank: 2, maxSize: 100 }), fc.integer({ min: 1, max: 40 }), axisSizes, seeds)
        .map(([shape, V, C, seed]) => ({
          x: [summands(dtype, [...shape, C], seed), hostIntegers("i32", shape, seed + 1, V)],
          attrs: { V },
        })),
    bound: ({ x: [, ids] }) => ({ sum: ids.values.length }),
    failing: () => ({
      x: [hostTensor("f32", [2, 3], 1), { shape: [2], dtype: "i32", values: [7, 0] }],
      attrs: { V: 7 },
    }),
  },
};

import * as t from "@danu/tensor";
import fc from "fast-check";

import { seeds } from "../arbitraries.ts";
import { hostTensor, type HostTensor } from "../host-tensor.ts";
import { conformanceCase, type ConformanceCase, type Slack } from "./case.ts";
import { computed } from "./elementwise.ts";
import { inverseRms } from "./fused.ts";

/** Rounding of an intermediate result that is kept in a type, relative to it, in units of 2⁻²⁴. */
const rounding: Readonly<Record<string, number>> = { f32: 1, bf16: 2 ** 16, f16: 2 ** 13 };

function most({ values }: HostTensor): number {
  return values.reduce((top, value) => Math.max(top, Math.abs(value)), 0);
}

/** Bound of the product of a normed input with a weight, and of the error of one that may round the norm and the product. */
export function normedProductBound(x: HostTensor, norm: HostTensor, weight: HostTensor, eps: number): { readonly size: number; readonly error: Slack & { readonly absolute: number } } {
  const C = norm.values.length;
  const sizes = inverseRms(x, eps).values.map((factor, row) => (
    norm.values.reduce((sum, scale, c) => sum + Math.abs(x.values[row * C + c]! * factor * scale), 0)
  ));
  const size = Math.max(0, ...sizes) * most(weight);
  return { size, error: { absolute: size * (C + 32 + 2 * rounding[x.dtype]!) } };
}

const normSwiglu = conformanceCase(t.normSwigluOp, {
  dtypes: computed,
  sample: (dtype) =>
    fc
      .tuple(fc.constantFrom([1], [16], [1, 3], [2, 8], [17], [0, 2], []), fc.constantFrom(1, 3, 8, 24, 64, 136, 600), fc.constantFrom(1, 5, 16, 40, 0), seeds)
      .map(([shape, C, F, seed]) => ({
        x: [
          hostTensor(dtype, [...shape, C], seed), hostTensor(dtype, [C], seed + 1), hostTensor(dtype, [F, C], seed + 2), hostTensor(dtype, [F, C], seed + 3),
        ],
        attrs: { eps: 1e-5 },
      })),
  bound: ({ x: [x, norm, gate, up], attrs: { eps } }) => {
    const [ofGate, ofUp] = [normedProductBound(x, norm, gate, eps), normedProductBound(x, norm, up, eps)];
    // Nowhere is SiLU steeper than 1.1 or further from 0 than its argument.
    return { absolute: 1.1 * ofGate.error.absolute * ofUp.size + ofGate.size * ofUp.error.absolute };
  },
});

const chooseNext = conformanceCase(t.chooseNextOp, {
  dtypes: computed,
  sample: (dtype) =>
    fc.tuple(fc.constantFrom([1], [1, 1, 3], [40], [1, 1000], [9000]), fc.boolean(), seeds).map(([shape, adversarial, seed]) => {
      const one = (value: number): HostTensor => ({ shape: [1], dtype: "i32", values: [value] });
      return { x: [one(-1), one(4), one(2), hostTensor(dtype, shape, seed, adversarial ? "adversarial" : "moderate")], attrs: null };
    }),
  bound: () => "bits",
});

/** Cases of the ops of generation. */
export const generationCases: readonly ConformanceCase[] = [normSwiglu, chooseNext];

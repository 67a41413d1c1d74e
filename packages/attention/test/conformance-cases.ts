import { type DType } from "@danu/tensor";
import {
  conformanceCase,
  hostIntegers,
  hostTensor,
  rounded,
  seeds,
  type ConformanceCase,
  type HostTensor,
  type Slack,
} from "@danu/testing";
import fc from "fast-check";

import { appendKeyValuesOp, attendNextOp, attentionGradOp, attentionOp, ropeOp, type AttentionAttrs } from "../src/index.ts";
import { fp8AttentionCases } from "./fp8-conformance-cases.ts";
import { generationAttentionCases } from "./generation-conformance-cases.ts";

type Call = {
  readonly x: readonly [q: HostTensor, k: HostTensor, v: HostTensor, documentStart: HostTensor | null];
  readonly attrs: AttentionAttrs;
};

const computed = ["f32", "bf16", "f16"] as const;

/** Rounding of an intermediate value below 1 that is kept in the type of q, in units of 2⁻²⁴. */
const operandRounding: Readonly<Record<string, number>> = { f32: 0, bf16: 2 ** 15, f16: 2 ** 12 };

const sizes = fc.record({
  B: fc.constantFrom(1, 2, 3, 0),
  T: fc.constantFrom(1, 2, 5, 17, 33, 90, 0),
  earlier: fc.constantFrom(0, 1, 7, 40),
  G: fc.constantFrom(1, 2, 3),
  group: fc.constantFrom(1, 2, 4, 5),
  D: fc.constantFrom(1, 3, 8, 16, 20, 33, 80, 300),
});

/** Row starts of documents of random lengths: for every position the first of its document. */
function documentStarts(B: number, S: number, seed: number): HostTensor {
  const draws = hostIntegers("i32", [B, S], seed, 6).values;
  const values: number[] = [];
  draws.forEach((draw, i) => {
    const position = i % S;
    values.push(position === 0 ? 0 : draw === 0 ? position : values[i - 1]!);
  });
  return { shape: [B, S], dtype: "i32", values };
}

/** Random calls; the score matrix of each has at most 20,000 elements. */
function calls(dtype: DType, spareKeys: readonly number[]): fc.Arbitrary<Call> {
  return fc
    .tuple(
      sizes,
      fc.constantFrom(null, 1, 3, 16, 1000),
      fc.boolean(),
      fc.constantFrom(...spareKeys),
      fc.constantFrom(1, 6),
      seeds,
    )
    .map(([{ B, T: most, earlier, G, group, D }, slidingWindow, documents, spare, spread, seed]) => {
      const H = G * group;
      let T = most;
      while (B * H * T * (T + earlier) * Math.max(1, D / 16) > 20_000) T >>= 1;
      const used = T + earlier;
      const S = used + spare;
      const q = hostTensor(dtype, [B, T, H, D], seed);
      return {
        x: [
          {
            ...q,
            values: rounded(
              dtype,
              q.values.map((value) => value * spread),
            ),
          },
          hostTensor(dtype, [B, S, G, D], seed + 1),
          hostTensor(dtype, [B, S, G, D], seed + 2),
          documents ? documentStarts(B, S, seed + 3) : null,
        ],
        attrs: { scale: 1 / Math.sqrt(D), slidingWindow, keyLength: spare === 0 ? null : used },
      };
    });
}

/** Largest length of a row of D elements. */
function longest(x: HostTensor): number {
  const D = x.shape.at(-1)!;
  let top = 0;
  for (let at = 0; at < x.values.length; at += D) top = Math.max(top, Math.hypot(...x.values.slice(at, at + D)));
  return top;
}

function largest(x: HostTensor): number {
  return x.values.reduce((top, value) => Math.max(top, Math.abs(value)), 0);
}

/** Units of error of a score, and of a weight of the softmax relative to itself. */
function weightUnits({ x: [q, k], attrs: { scale } }: Call): { readonly score: number; readonly weight: number } {
  const score = 2 * (q.shape[3]! + 4) * scale * longest(q) * longest(k);
  return { score, weight: 2 * score + k.shape[1]! + 64 };
}

const attention = conformanceCase(attentionOp, {
  dtypes: computed,
  sample: (dtype) => calls(dtype, [0, 0, 5]),
  bound: (call) => {
    const [q, , v] = call.x;
    const { score, weight } = weightUnits(call);
    return [{ absolute: largest(v) * (weight + 2 * operandRounding[q.dtype]!) }, { absolute: score + 64, relative: 4 }];
  },
});

const attendNext = conformanceCase(attendNextOp, {
  dtypes: computed,
  sample: (dtype) =>
    calls(dtype, [0, 5, 70]).map(({ x: [q, k, v], attrs: { keyLength, ...attrs } }) => {
      const [B, T] = q.shape as [number, number];
      const [, S, G, D] = k.shape as [number, number, number, number];
      const next = (offset: number): HostTensor => hostTensor(dtype, [B, T, G, D], offset);
      const stored = (keyLength ?? S) - T;
      return { x: [q, k, v, next(7), next(8), { shape: [1], dtype: "i32", values: [stored] }], attrs };
    }),
  bound: ({ x: [q, keys, values, k, v], attrs }) => {
    const all = { ...keys, values: [...keys.values, ...k.values] };
    const { score, weight } = weightUnits({ x: [q, all, values, null], attrs: { ...attrs, keyLength: null } });
    return [{ absolute: Math.max(largest(v), largest(values)) * (weight + 2 * operandRounding[q.dtype]!) }, { absolute: score + 64, relative: 4 }];
  },
});

const appendKeyValues = conformanceCase(appendKeyValuesOp, {
  dtypes: computed,
  sample: (dtype) =>
    fc
      .tuple(fc.constantFrom(1, 3), fc.constantFrom(1, 2, 9, 0), fc.nat(20), fc.nat(20), fc.constantFrom(1, 2), fc.constantFrom(1, 8, 20, 80), seeds)
      .map(([B, T, stored, spare, G, D, seed]) => {
        const some = (length: number, offset: number): HostTensor => hostTensor(dtype, [B, length, G, D], seed + offset, "adversarial");
        const S = stored + T + spare;
        return { x: [some(S, 0), some(S, 1), some(T, 2), some(T, 3), { shape: [1], dtype: "i32", values: [stored] }], attrs: null };
      }),
  bound: () => "bits",
});

/** Output and log-sum-exp of a call in double precision, rounded as the forward pass leaves them. */
function forward({
  x: [q, k, v, starts],
  attrs: { scale, slidingWindow, keyLength },
}: Call): readonly [o: HostTensor, lse: HostTensor] {
  const [B, T, H, D] = q.shape as [number, number, number, number];
  const [, S, G] = k.shape as [number, number, number];
  const used = keyLength ?? S;
  const o = new Float64Array(q.values.length);
  const lse = new Float64Array(B * H * T);
  for (let b = 0; b < B; b++) {
    for (let t = 0; t < T; t++) {
      const position = used - T + t;
      const first = Math.max(0, position - (slidingWindow ?? Infinity) + 1, starts?.values[b * S + position] ?? 0);
      for (let h = 0; h < H; h++) {
        const query = ((b * T + t) * H + h) * D;
        const key = (s: number): number => ((b * S + s) * G + Math.floor((h * G) / H)) * D;
        const scores: number[] = [];
        for (let s = first; s <= position; s++) {
          let dot = 0;
          for (let d = 0; d < D; d++) dot += q.values[query + d]! * k.values[key(s) + d]!;
          scores.push(dot * scale);
        }
        const top = Math.max(...scores);
        const total = top + Math.log(scores.reduce((sum, score) => sum + Math.exp(score - top), 0));
        lse[(b * H + h) * T + t] = total;
        scores.forEach((score, i) => {
          for (let d = 0; d < D; d++) o[query + d]! += Math.exp(score - total) * v.values[key(first + i) + d]!;
        });
      }
    }
  }
  return [
    { ...q, values: rounded(q.dtype, o) },
    { shape: [B, H, T], dtype: "f32", values: rounded("f32", lse) },
  ];
}

const attentionGrad = conformanceCase(attentionGradOp, {
  dtypes: computed,
  sample: (dtype) =>
    fc.tuple(calls(dtype, [0, 0, 5]), seeds).map(([call, seed]) => {
      const [q, k, v, documentStart] = call.x;
      return { x: [hostTensor(dtype, q.shape, seed), q, k, v, ...forward(call), documentStart], attrs: call.attrs };
    }),
  bound: ({ x: [g, q, k, v, , , documentStart], attrs }) => {
    const { weight } = weightUnits({ x: [q, k, v, documentStart], attrs });
    const rows = q.shape[1]! * (q.shape[2]! / k.shape[2]!);
    const rounding = 4 * operandRounding[q.dtype]!;
    // A score's gradient is its weight times a difference of two products of rows of g with rows of v or o. Roundings
    // to the type of q fall either way: over the terms of a sum they grow with the root of their number.
    const product = 2 * attrs.scale * longest(g) * longest(v) * (weight + 2 * g.shape[3]!);
    const rounded = attrs.scale * longest(g) * largest(v) * rounding;
    const sums: readonly number[] = [
      largest(k) * (product + rounded),
      largest(q) * (rows * product + Math.sqrt(rows) * rounded),
      largest(g) * (rows * (weight + rows) + Math.sqrt(rows) * rounding),
    ];
    return sums.map((absolute): Slack => ({ absolute }));
  },
});

const rope = conformanceCase(ropeOp, {
  dtypes: computed,
  sample: (dtype) =>
    fc
      .tuple(
        fc.tuple(fc.constantFrom(1, 2, 0), fc.constantFrom(1, 3, 20, 0), fc.constantFrom(1, 2, 5)),
        fc.constantFrom(2, 6, 16, 34, 80, 128),
        fc.constantFrom(1, 9, 400),
        fc.boolean(),
        seeds,
      )
      .map(([[B, T, H], D, P, inverse, seed]) => ({
        x: [
          hostTensor(dtype, [B, T, H, D], seed),
          hostTensor("f32", [P, D], seed + 1),
          hostIntegers("i32", [B, T], seed + 2, P),
        ],
        attrs: { inverse },
      })),
  bound: ({ x: [x, table] }) => ({ absolute: 4 * largest(x) * largest(table) }),
  failing: () => ({
    x: [
      hostTensor("f32", [1, 3, 1, 4], 1),
      hostTensor("f32", [5, 4], 2),
      { shape: [1, 3], dtype: "i32", values: [0, 5, -1] },
    ],
    attrs: { inverse: false },
  }),
});

/** Cases of the ops of this package, for the conformance suite of a device. */
export const attentionCases: readonly ConformanceCase[] = [
  attention, attentionGrad, attendNext, appendKeyValues, rope, ...fp8AttentionCases, ...generationAttentionCases,
];

import * as t from "@danu/tensor";
import fc from "fast-check";

import { axisSizes, seeds, shapes } from "../arbitraries.ts";
import { hostIntegers, hostTensor, rounded, type HostTensor } from "../host-tensor.ts";
import { conformanceCase, type Bound, type ConformanceCase } from "./case.ts";
import { computed } from "./elementwise.ts";
import { summands } from "./products.ts";

/** Largest finite magnitude. */
function most(x: HostTensor): number {
  return x.values.reduce((top, value) => (Number.isFinite(value) ? Math.max(top, Math.abs(value)) : top), 0);
}

const rows = shapes({ maxRank: 3, maxSize: 20 });
const width = fc.oneof(
  { weight: 6, arbitrary: axisSizes.filter((n) => n > 0) },
  { weight: 1, arbitrary: fc.constantFrom(80, 256, 300) }
);
const epsilon = fc.constantFrom(1e-5, 1e-6, 1e-2);

const linear = conformanceCase(t.linearOp, {
  dtypes: computed,
  sample: (dtype) =>
    fc.tuple(rows, axisSizes, axisSizes, fc.boolean(), seeds).map(([shape, C, O, residual, seed]) => ({
      x: [
        summands(dtype, [...shape, C], seed),
        summands(dtype, [O, C], seed + 1),
        residual ? summands(dtype, [...shape, O], seed + 2) : null,
      ],
      attrs: null,
    })),
  bound: ({ x: [x] }) => ({ sum: x.shape.at(-1)! + 1 }),
  gradient: ({ x: [x, weight] }) => [
    { sum: weight.shape[0]! },
    { sum: x.values.length / Math.max(x.shape.at(-1)!, 1) },
    "value",
  ],
});

const linearInputGrad = conformanceCase(t.linearInputGradOp, {
  dtypes: computed,
  sample: (dtype) =>
    fc.tuple(rows, axisSizes, axisSizes, fc.boolean(), seeds).map(([shape, C, O, residual, seed]) => ({
      x: [
        summands(dtype, [...shape, O], seed),
        summands(dtype, [O, C], seed + 1),
        residual ? summands(dtype, [...shape, C], seed + 2) : null,
      ],
      attrs: null,
    })),
  bound: ({ x: [g] }) => ({ sum: g.shape.at(-1)! + 1 }),
});

/** Bounds of the gradients of rmsNorm from the sizes of its normalised values, at most √C each. */
function normGradientBounds(x: HostTensor, weight: HostTensor, inverse: number, g: number): readonly [{ readonly absolute: number }, { readonly absolute: number }] {
  const C = x.shape.at(-1)!;
  const count = x.values.length / C;
  return [
    { absolute: (C + 32) * (1 + Math.sqrt(C)) * inverse * g * most(weight) },
    { absolute: (count + C + 32) * count * g * Math.sqrt(C) },
  ];
}

/** What a norm keeps of every row: 1 / sqrt(mean(x²) + eps). */
export function inverseRms(x: HostTensor, eps: number): HostTensor {
  const [rows, C] = [x.shape.slice(0, -1), x.shape.at(-1)!];
  const values = Array.from({ length: t.sizeOf(rows) }, (_, row) => {
    const squares = x.values.slice(row * C, (row + 1) * C).reduce((total, value) => total + value * value, 0);
    return 1 / Math.sqrt(squares / Math.max(1, C) + eps);
  });
  return { shape: rows, dtype: "f32", values: rounded("f32", values) };
}

const rmsNorm = conformanceCase(t.rmsNormOp, {
  dtypes: computed,
  sample: (dtype) =>
    fc
      .tuple(rows, width, epsilon, seeds)
      .map(([shape, C, eps, seed]) => ({
        x: [hostTensor(dtype, [...shape, C], seed), hostTensor(dtype, [C], seed + 1)],
        attrs: { eps },
      })),
  bound: ({ x: [x] }) => ({ relative: x.shape.at(-1)! + 16 }),
  gradient: ({ x: [x, weight], attrs: { eps } }) =>
    normGradientBounds(x, weight, Math.max(0, ...inverseRms(x, eps).values), 5),
});

const rmsNormGrad = conformanceCase(t.rmsNormGradOp, {
  dtypes: computed,
  sample: (dtype) =>
    fc.tuple(rows, width, epsilon, fc.boolean(), seeds).map(([shape, C, eps, residual, seed]) => {
      const x = hostTensor(dtype, [...shape, C], seed);
      return {
        x: [
          hostTensor(dtype, x.shape, seed + 1), x, hostTensor(dtype, [C], seed + 2), inverseRms(x, eps),
          residual ? hostTensor(dtype, x.shape, seed + 3) : null,
        ],
        attrs: { eps },
      };
    }),
  bound: ({ x: [g, x, weight, inverse, residual] }) => {
    const [ofX, ofWeight] = normGradientBounds(x, weight, most(inverse), most(g));
    return [{ absolute: ofX.absolute + (residual === null ? 0 : most(residual)) }, ofWeight];
  },
});

/** Gates from the flat to the saturated parts of the sigmoid. */
function gates(dtype: t.DType, shape: t.Shape, seed: number): HostTensor {
  const x = hostTensor(dtype, shape, seed);
  const subtle = [0, -0, 88, -88, 104, -104, 1e-20, NaN, Infinity];
  return {
    ...x,
    values: rounded(
      dtype,
      x.values.map((value, i) => (i % 7 === 3 ? subtle[(seed + i) % subtle.length]! : value * 4))
    ),
  };
}

const swiglu = conformanceCase(t.swigluOp, {
  dtypes: computed,
  sample: (dtype) =>
    fc
      .tuple(shapes(), seeds)
      .map(([shape, seed]) => ({ x: [gates(dtype, shape, seed), hostTensor(dtype, shape, seed + 1)], attrs: null })),
  bound: () => ({ relative: 32, floor: 2 ** -100 }),
  gradient: ({ x: [gate, up] }) => [{ absolute: 64 * 5 * most(up) }, { absolute: 64 * 5 * most(gate) }],
});

const swigluGrad = conformanceCase(t.swigluGradOp, {
  dtypes: computed,
  sample: (dtype) =>
    fc
      .tuple(shapes(), seeds)
      .map(([shape, seed]) => ({
        x: [hostTensor(dtype, shape, seed), gates(dtype, shape, seed + 1), hostTensor(dtype, shape, seed + 2)],
        attrs: null,
      })),
  bound: ({ x: [g, gate, up] }) => [{ absolute: 64 * most(g) * most(up) }, { absolute: 64 * most(g) * most(gate) }],
});

type LossInputs = readonly [x: HostTensor, weight: HostTensor, targets: HostTensor];

function lossInputs(dtype: t.DType): fc.Arbitrary<LossInputs> {
  return fc.tuple(axisSizes, width, width, seeds).map(([rowCount, C, V, seed]): LossInputs => {
    // The oracle spells the product out: few rows where the head is large.
    const N = Math.min(rowCount, Math.ceil(60_000 / (C * V)));
    const targets = hostIntegers("i32", [N], seed, V);
    return [
      hostTensor(dtype, [N, C], seed + 1),
      hostTensor(dtype, [V, C], seed + 2),
      { ...targets, values: targets.values.map((id, i) => ((seed + i) % 5 === 0 ? t.ignoreIndex : id)) },
    ];
  });
}

/** Units of error of one loss, and of one probability: the logits' rounding, then a sum over the vocabulary. */
function lossUnits([x, weight]: LossInputs): { loss: number; probability: number } {
  const [V, C] = weight.shape as [number, number];
  const logits = 2 * C * C * most(x) * most(weight);
  return { loss: logits + V + 16, probability: 2 * (logits + V + 16) };
}

/** Rounding of a value below 1 to each type, in units of 2⁻²⁴. */
const operandRounding: Readonly<Record<string, number>> = { f32: 0, bf16: 2 ** 15, f16: 2 ** 12 };

/** Bounds of the gradients; those of the logits may be rounded to the type of x before they are multiplied further. */
function lossGradientBounds(inputs: LossInputs, scale: number, steps: number): readonly [Bound, Bound] {
  const [x, weight] = inputs;
  const [N, V] = [x.shape[0]!, weight.shape[0]!];
  const probability = lossUnits(inputs).probability + operandRounding[x.dtype]!;
  return [
    { absolute: scale * most(weight) * 2 * (probability + V), steps },
    { absolute: scale * most(x) * N * (probability + N), steps },
  ];
}

const badTargets: LossInputs = [
  hostTensor("f32", [3, 4], 1),
  hostTensor("f32", [5, 4], 2),
  { shape: [3], dtype: "i32", values: [0, -100, 5] },
];

const tokenLosses = conformanceCase(t.tokenLossesOp, {
  dtypes: computed,
  sample: (dtype) => lossInputs(dtype).map((x) => ({ x, attrs: null })),
  bound: ({ x }) => ({ relative: 16, absolute: lossUnits(x).loss }),
  // The incoming gradients are normal numbers, below 5.
  gradient: ({ x }) => [...lossGradientBounds(x, 5, 1), "value"],
  failing: () => ({ x: badTargets, attrs: null }),
});

const tokenLossesGrad = conformanceCase(t.tokenLossesGradOp, {
  dtypes: computed,
  sample: (dtype) =>
    fc.tuple(lossInputs(dtype), seeds, fc.boolean()).map(([x, seed, weightGradient]) => ({
      x: [hostTensor("f32", x[2].shape, seed), ...x],
      attrs: { weightGradient },
    })),
  bound: ({ x: [, ...x] }) => lossGradientBounds(x, 5, 0),
  failing: () => ({ x: [hostTensor("f32", [3], 3), ...badTargets], attrs: { weightGradient: true } }),
});

const linearCrossEntropy = conformanceCase(t.linearCrossEntropyOp, {
  dtypes: computed,
  sample: (dtype) =>
    fc.tuple(lossInputs(dtype), fc.constantFrom(1, 0.125)).map(([x, scale]) => ({
      x,
      attrs: { scale, weightGradient: true },
    })),
  bound: ({ x, attrs: { scale } }) => [
    { relative: 16 + x[0].shape[0]!, absolute: scale * x[0].shape[0]! * lossUnits(x).loss },
    ...lossGradientBounds(x, scale, 0),
  ],
  // The incoming gradient is one normal number, below 5. It scales gradients that have been rounded before.
  gradient: ({ x, attrs: { scale } }) => [...lossGradientBounds(x, 5 * scale, 1), "value"],
  failing: () => ({ x: badTargets, attrs: { scale: 1, weightGradient: true } }),
});

const addInto = conformanceCase(t.addIntoOp, {
  dtypes: computed,
  sample: (dtype) =>
    fc
      .tuple(shapes(), seeds, fc.constantFrom(...computed))
      .map(([shape, seed, from]) => ({
        x: [hostTensor(dtype, shape, seed, "adversarial"), hostTensor(from, shape, seed + 1, "adversarial")],
        attrs: null,
      })),
  bound: () => "value",
});

const scaleInto = conformanceCase(t.scaleIntoOp, {
  dtypes: computed,
  sample: (dtype) =>
    fc
      .tuple(shapes(), seeds, fc.constantFrom(1, 0, -0.37, 1e-30, 65536, NaN))
      .map(([shape, seed, factor]) => ({
        x: [
          hostTensor(dtype, shape, seed, "adversarial"),
          { shape: [], dtype: "f32", values: rounded("f32", [factor]) },
        ],
        attrs: null,
      })),
  bound: () => "value",
});

/** Cases of the ops of @danu/tensor that have a decomposition. */
export const fusedCases: readonly ConformanceCase[] = [
  linear,
  linearInputGrad,
  rmsNorm,
  rmsNormGrad,
  swiglu,
  swigluGrad,
  tokenLosses,
  tokenLossesGrad,
  linearCrossEntropy,
  addInto,
  scaleInto,
];

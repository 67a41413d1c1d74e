import { defineOp, fp8Columns, fp8Rows, runUpdate, type AnyUpdate, type Inputs, type Op, type Tensor } from "@danu/tensor";
import {
  conformanceCase,
  hostTensor,
  rounded,
  seeds,
  shapes,
  type CaseFor,
  type ConformanceCase,
  type HostInputs,
  type HostTensor,
  type Palette,
} from "@danu/testing";
import fc from "fast-check";

import { adamwOp, clipScaleOp, sumSquaresOp, type AdamWAttrs } from "../src/index.ts";

/** An in-place op as one that returns the tensors it wrote, so that all of them are compared, not the first alone. */
function written<X extends Inputs, A>(
  update: AnyUpdate,
  of: (x: X) => readonly (Tensor | null)[],
): Op<X, readonly Tensor[], A> {
  const results = (x: X): readonly Tensor[] => of(x).filter((tensor) => tensor !== null);
  return defineOp<X, readonly Tensor[], A>({
    name: update.name,
    vjp: null,
    infer: results,
    decompose: (x, attrs) => {
      runUpdate(update, x, attrs);
      return results(x);
    },
  });
}

function single(value: number): HostTensor {
  return { shape: [], dtype: "f32", values: rounded("f32", [value]) };
}

const optimizerNumbers: fc.Arbitrary<AdamWAttrs> = fc.record({
  learningRate: fc.constantFrom(1e-4, 0.03),
  beta1: fc.constantFrom(0.9, 0),
  beta2: fc.constantFrom(0.95, 0.999),
  eps: fc.constantFrom(1e-8, 1e-5),
  weightDecay: fc.constantFrom(0, 0.1),
  step: fc.constantFrom(1, 2, 1000),
});

type AdamWInputs = Parameters<typeof adamwOp.check>[0];
type AdamWHost = HostInputs<AdamWInputs>;
type Fp8Host = readonly [scaling: HostTensor, rowwise: HostTensor, transposed: HostTensor];

/** A matrix in fp8 with rows before and after those of a parameter. */
interface Fp8Place {
  readonly O: number;
  readonly C: number;
  readonly row: number;
  readonly after: number;
}

const fp8Places: fc.Arbitrary<Fp8Place> = fc.record({
  O: fc.constantFrom(1, 5, 16, 48),
  C: fc.constantFrom(3, 16, 144),
  row: fc.constantFrom(0, 3, 32),
  after: fc.constantFrom(0, 1, 16),
});

function fp8Matrix({ O, C, row, after }: Fp8Place, seed: number): Fp8Host {
  const rows = row + O + after;
  const values = fp8Rows.flatMap((_, i) => [64, 1 / 64, i, ...new Array<number>(fp8Columns.count - 3).fill(0.5)]);
  return [
    { shape: [fp8Rows.length, fp8Columns.count], dtype: "f32", values },
    hostTensor("f8e4m3", [rows, C], seed),
    hostTensor("f8e4m3", [C, rows], seed + 1),
  ];
}

/** Largest absolute size of the terms that new mean, variance and parameter are sums of. */
function largestTerms([param, gradient, mean, variance, scale]: AdamWHost, attrs: AdamWAttrs): readonly number[] {
  const { beta1, beta2, learningRate, eps, step } = attrs;
  const largest = [0, 0, 0];
  const factor = scale?.values[0] ?? 1;
  param.values.forEach((p, i) => {
    const g = Math.abs(gradient.values[i]! * factor);
    // As large as in m + (1 − β₁)(g − m), which PyTorch and kernels form; with a small β₁ most of m cancels there.
    const m = Math.abs(mean.values[i]!) + (1 - beta1) * g;
    const v = beta2 * variance.values[i]! + (1 - beta2) * g * g;
    const denominator = Math.sqrt(v / (1 - beta2 ** step)) + eps;
    const terms = [m, v, Math.abs(p) + (learningRate / (1 - beta1 ** step)) * (m / denominator)];
    terms.forEach((term, at) => {
      if (term > largest[at]!) largest[at] = term;
    });
  });
  return largest;
}

const adamw = conformanceCase(
  written<AdamWInputs, AdamWAttrs>(adamwOp, ([param, , mean, variance, , copy, ...fp8]) => [param, mean, variance, copy, ...fp8]),
  {
    dtypes: ["f32"],
    sample: () =>
      fc
        .tuple(
          shapes(),
          seeds,
          fc.constantFrom(null, 1, 0.37, 0, NaN, Infinity),
          fc.constantFrom(null, "bf16", "f16"),
          optimizerNumbers,
          fc.option(fp8Places),
        )
        .map(([anyShape, seed, factor, copy, numbers, place]) => {
          const shape = place === null ? anyShape : [place.O, place.C];
          const fresh = (offset: number): HostTensor => hostTensor("f32", shape, seed + offset);
          const variance = fresh(3);
          const x: AdamWHost = [
            fresh(0),
            fresh(1),
            fresh(2),
            {
              ...variance,
              values: rounded(
                "f32",
                variance.values.map((value) => value * value),
              ),
            },
            factor === null ? null : single(factor),
            copy === null ? null : hostTensor(copy, shape, seed),
            ...(place === null ? ([] as const) : fp8Matrix(place, seed + 4)),
          ];
          return { x, attrs: place === null ? numbers : { ...numbers, row: place.row }, fixed: [7, 8] };
        }),
    bound: ({ x, attrs }) => {
      const [m, v, p] = largestTerms(x, attrs) as [number, number, number];
      const parameter = { absolute: 16 * p };
      // A number between two of fp8 may be cast to the other one.
      const fp8 = [parameter, { steps: 1 }, { steps: 1 }];
      return [parameter, { absolute: 4 * m }, { absolute: 6 * v }, ...(x[5] === null ? [] : [parameter]), ...fp8];
    },
  },
);

const sumSquares = conformanceCase(sumSquaresOp, {
  dtypes: ["f32"],
  sample: () =>
    fc
      .tuple(fc.array(shapes(), { minLength: 1, maxLength: 4 }), seeds, fc.constantFrom<Palette>("moderate", "wide", "adversarial"))
      .map(([all, seed, palette]) => ({ x: all.map((shape, i) => hostTensor("f32", shape, seed + i, palette)), attrs: null })),
  bound: ({ x }) => ({ relative: x.reduce((count, { values }) => count + values.length, 0) + 4 }),
});

const clipScale = conformanceCase(
  written<Parameters<typeof clipScaleOp.check>[0], { readonly maxNorm: number }>(clipScaleOp, ([scale, norm]) => [
    scale,
    norm,
  ]),
  {
    dtypes: ["f32"],
    sample: () =>
      fc
        .tuple(
          fc.constantFrom(0, 1e-30, 1e-6, 0.81, 1, 169, 1e38, Infinity, NaN),
          fc.constantFrom(1, 1e-3, 13, Infinity),
        )
        .map(([total, maxNorm]) => ({ x: [single(7), single(7), single(total)], attrs: { maxNorm } })),
    bound: () => ({ relative: 8 }),
  } satisfies CaseFor<Op<readonly [Tensor, Tensor, Tensor], readonly Tensor[], { readonly maxNorm: number }>>,
);

/** Cases of the ops of this package, for the conformance suite of a device. */
export const optimCases: readonly ConformanceCase[] = [adamw, sumSquares, clipScale];

import { defineOp, runUpdate, type AnyUpdate, type Inputs, type Op, type Tensor } from "@danu/tensor";
import {
  conformanceCase,
  hostTensor,
  rounded,
  seeds,
  shapes,
  type CaseFor,
  type ConformanceCase,
  type HostTensor,
} from "@danu/testing";
import fc from "fast-check";

import { adamwOp, addSquaresOp, clipScaleOp, type AdamWAttrs } from "../src/index.ts";

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
type AdamWHost = readonly [HostTensor, HostTensor, HostTensor, HostTensor, HostTensor | null, HostTensor | null];

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
  written<AdamWInputs, AdamWAttrs>(adamwOp, ([param, , mean, variance, , copy]) => [param, mean, variance, copy]),
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
        )
        .map(([shape, seed, factor, copy, attrs]) => {
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
          ];
          return { x, attrs };
        }),
    bound: ({ x, attrs }) => {
      const [m, v, p] = largestTerms(x, attrs) as [number, number, number];
      return [{ absolute: 16 * p }, { absolute: 4 * m }, { absolute: 6 * v }, { absolute: 16 * p }];
    },
  },
);

const addSquares = conformanceCase(addSquaresOp, {
  dtypes: ["f32"],
  sample: () =>
    fc
      .tuple(shapes(), seeds, fc.constantFrom(0, 2.5, Infinity, NaN), fc.constantFrom("moderate", "wide"))
      .map(([shape, seed, total, palette]) => ({
        x: [single(total), hostTensor("f32", shape, seed, palette)],
        attrs: null,
      })),
  bound: ({ x: [, x] }) => ({ relative: x.values.length + 4 }),
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
export const optimCases: readonly ConformanceCase[] = [adamw, addSquares, clipScale];

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

import { adamwOp, adamwParameters, clipScaleOp, sumSquaresOp, type AdamWAttrs, type AdamWOpAttrs } from "../src/index.ts";

/** An in-place op as one that returns the tensors it wrote, so that all of them are compared, not the first alone. */
function written<X extends Inputs, A>(
  update: AnyUpdate,
  of: (x: X, attrs: A) => readonly (Tensor | null)[],
): Op<X, readonly Tensor[], A> {
  const results = (x: X, attrs: A): readonly Tensor[] => of(x, attrs).filter((tensor) => tensor !== null);
  return defineOp<X, readonly Tensor[], A>({
    name: update.name,
    vjp: null,
    infer: results,
    decompose: (x, attrs) => {
      runUpdate(update, x, attrs);
      return results(x, attrs);
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
  step: fc.constantFrom(1, 2, 1000),
});

type AdamWInputs = Parameters<typeof adamwOp.check>[0];
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
  const values = fp8Rows.flatMap((_, i) => [1 / 64, 1, 64, i, ...new Array<number>(fp8Columns.count - 4).fill(0.5)]);
  return [
    { shape: [fp8Rows.length, fp8Columns.count], dtype: "f32", values },
    hostTensor("f8e4m3", [rows, C], seed),
    hostTensor("f8e4m3", [C, rows], seed + 1),
  ];
}

/** One parameter on the host: how it decays, its place in fp8, and its tensors in the order of the op's inputs. */
interface ParameterHost {
  readonly weightDecay: number;
  readonly row: number;
  readonly state: readonly [param: HostTensor, gradient: HostTensor, mean: HostTensor, variance: HostTensor];
  readonly copy: HostTensor | null;
  readonly fp8: Fp8Host | null;
}

const parameters: fc.Arbitrary<ParameterHost> = fc
  .tuple(shapes(), seeds, fc.constantFrom(null, "bf16", "f16"), fc.option(fp8Places), fc.constantFrom(0, 0.1))
  .map(([anyShape, seed, copy, place, weightDecay]) => {
    const shape = place === null ? anyShape : [place.O, place.C];
    const fresh = (offset: number): HostTensor => hostTensor("f32", shape, seed + offset);
    const roots = fresh(3);
    const variance = { ...roots, values: rounded("f32", roots.values.map((value) => value * value)) };
    return {
      weightDecay,
      row: place?.row ?? 0,
      state: [fresh(0), fresh(1), fresh(2), variance],
      copy: copy === null ? null : hostTensor(copy, shape, seed),
      fp8: place === null ? null : fp8Matrix(place, seed + 4),
    };
  });

/** Largest absolute size of the terms that new mean, variance and parameter are sums of. */
function largestTerms([param, gradient, mean, variance]: ParameterHost["state"], factor: number, attrs: AdamWAttrs): readonly [m: number, v: number, p: number] {
  const { beta1, beta2, learningRate, eps, step } = attrs;
  const largest: [number, number, number] = [0, 0, 0];
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

const tensorsOfOne = 8;

const adamw = conformanceCase(
  written<AdamWInputs, AdamWOpAttrs>(adamwOp, (x, attrs) =>
    adamwParameters(x, attrs).flatMap(({ param, mean, variance, copy, fp8 }) => [
      param,
      mean,
      variance,
      copy,
      ...(fp8 === null ? [] : [fp8.matrix.scaling, fp8.matrix.rowwise, fp8.matrix.transposed]),
    ])),
  {
    dtypes: ["f32"],
    sample: () =>
      fc
        .tuple(fc.array(parameters, { minLength: 1, maxLength: 4 }), fc.constantFrom(null, 1, 0.37, 0, NaN, Infinity), optimizerNumbers)
        .map(([all, factor, numbers]) => ({
          x: [
            factor === null ? null : single(factor),
            ...all.flatMap(({ state, copy, fp8 }) => [...state, copy, ...(fp8 ?? [null, null, null])]),
          ] as HostInputs<AdamWInputs>,
          attrs: { ...numbers, parameters: all.map(({ weightDecay, row }) => ({ weightDecay, row })) },
          // Rows and columns in fp8 are of that type alone.
          fixed: all.flatMap((_, i) => [7 + i * tensorsOfOne, 8 + i * tensorsOfOne]),
        })),
    bound: ({ x: [scale, ...tensors], attrs }) =>
      attrs.parameters.flatMap((_, i) => {
        const [param, gradient, mean, variance, copy, scaling] = tensors.slice(i * tensorsOfOne);
        const [m, v, p] = largestTerms([param!, gradient!, mean!, variance!], scale?.values[0] ?? 1, attrs);
        const parameter = { absolute: 16 * p };
        // A number between two of fp8 may be cast to the other one.
        const fp8 = [parameter, { steps: 1 }, { steps: 1 }];
        return [parameter, { absolute: 4 * m }, { absolute: 6 * v }, ...(copy === null ? [] : [parameter]), ...(scaling === null ? [] : fp8)];
      }),
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

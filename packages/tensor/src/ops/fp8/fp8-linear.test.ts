import { expectClose, goldenJson, relativeError, type GoldenTensor } from "@danu/testing";
import fc from "fast-check";
import { beforeEach, describe, expect, test } from "vitest";

import * as t from "../../index.ts";

interface GoldenStep {
  readonly input: GoldenTensor;
  readonly gradient: GoldenTensor;
  readonly residual: GoldenTensor | null;
  readonly output: GoldenTensor;
  readonly inputGradient: GoldenTensor;
  readonly weightGradient: GoldenTensor;
  /** Of input, weight and gradient, after the step. */
  readonly factors: readonly number[];
}

const golden = goldenJson("fp8.json") as {
  readonly cases: readonly { readonly name: string; readonly weight: GoldenTensor; readonly steps: readonly GoldenStep[] }[];
};
let device = t.referenceDevice();
beforeEach(() => (device = t.referenceDevice()));
const put = ({ shape, data }: GoldenTensor): t.Tensor => t.tensor(device, data, shape);
const { scale, inverse, amax, history, count } = t.fp8Columns;

/** A matrix of one weight, scaled by itself to the whole range. */
function written(weight: t.Tensor): t.Fp8Matrix {
  const matrix = t.fp8Matrix(weight.device, weight.shape[0]!, weight.shape[1]!);
  t.writeFp8(matrix, [weight], { calibrate: true, margin: 1 });
  return matrix;
}

/** Output and gradients of one layer, from one pass there and back. */
function pass(x: t.Tensor, weight: t.Tensor, matrix: t.Fp8Matrix, options: {
  readonly calibrate: boolean; readonly residual?: t.Tensor | null; readonly gradient: t.Tensor;
}): readonly t.Tensor[] {
  const { calibrate, residual = null, gradient } = options;
  const { y, pull } = t.pullback((u, w) => [t.fp8Linear(u!, w!, matrix, { residual, calibrate })], [x, weight]);
  return [y[0]!, ...(pull([gradient]) as t.Tensor[])];
}

describe("equals torch's own casts, step after step", () => {
  test.each(golden.cases)("$name", async ({ weight, steps }) => {
    const matrix = written(put(weight));
    const { scaling } = matrix;
    for (const [i, step] of steps.entries()) {
      const residual = step.residual === null ? null : put(step.residual);
      const [y, dx, dWeight] = pass(put(step.input), put(weight), matrix, { calibrate: i === 0, residual, gradient: put(step.gradient) });
      for (const [actual, expected] of [[y, step.output], [dx, step.inputGradient], [dWeight, step.weightGradient]] as const) {
        expectClose(await actual!.read(), expected.data, { rtol: 1e-5, atol: 1e-6 });
      }
      t.fp8Update([scaling]);
      const rows = await scaling.read();
      const factors = t.fp8Rows.map((_, row) => rows[row * count + scale]!);
      expectClose(factors, step.factors, { rtol: 1e-6 });
      expect(t.fp8Rows.map((_, row) => rows[row * count + amax])).toEqual([0, 0, 0]);
      t.writeFp8(matrix, [put(weight)]);
    }
    t.disposeTree(matrix);
  });
});

const sizes = fc.record({ rows: fc.integer({ min: 0, max: 6 }), C: fc.integer({ min: 1, max: 9 }), O: fc.integer({ min: 1, max: 7 }) });
const numbers = (n: number): fc.Arbitrary<number[]> => fc.array(fc.double({ min: -3, max: 3, noNaN: true }), { minLength: n, maxLength: n });

test("lies within the rounding of fp8 of a plain linear layer, and notes the largest magnitudes", async () => {
  const calls = sizes.chain(({ rows, C, O }) => fc.tuple(fc.constant({ rows, C, O }), numbers(rows * C), numbers(O * C), numbers(rows * O)));
  await fc.assert(fc.asyncProperty(calls, async ([{ rows, C, O }, x, w, g]) => {
    const matrix = t.scope(() => written(t.tensor(device, w, [O, C])));
    const read = async (tensors: readonly t.Tensor[]): Promise<t.Values[]> => Promise.all(tensors.map((tensor) => tensor.read()));
    const results = t.scope(() => {
      const [X, W, G] = [t.tensor(device, x, [rows, C]), t.tensor(device, w, [O, C]), t.tensor(device, g, [rows, O])];
      const plain = t.pullback((u, v) => [t.linear(u!, v!)], [X, W]);
      return {
        actual: pass(X, W, matrix, { calibrate: true, gradient: G }),
        expected: [plain.y[0]!, ...(plain.pull([G]) as t.Tensor[])],
        // What sums of magnitudes allow: a product of two numbers of 3 bits (e4m3) is off by about 2 · 2⁻⁴, with one of
        // 2 bits (e5m2) by 2⁻⁴ + 2⁻³.
        magnitudes: [
          t.matmul(t.abs(X), t.abs(W), { transposeB: true }), t.matmul(t.abs(G), t.abs(W)), t.matmul(t.abs(G), t.abs(X), { transposeA: true }),
        ],
      };
    });
    const [actual, expected, magnitudes] = [await read(results.actual), await read(results.expected), await read(results.magnitudes)];
    for (const [i, bound] of [0.13, 0.2, 0.2].entries()) {
      for (const [j, value] of expected[i]!.entries()) {
        expect(Math.abs(actual[i]![j]! - value)).toBeLessThanOrEqual(bound * magnitudes[i]![j]! + 0.02);
      }
    }
    const state = await matrix.scaling.read();
    const largest = (values: readonly number[]): number => values.reduce((top, value) => Math.max(top, Math.abs(Math.fround(value))), 0);
    expect([0, 1, 2].map((row) => state[row * count + amax])).toEqual([largest(x), largest(w), largest(g)]);
    t.disposeTree([matrix, results]);
    expect(device.liveBuffers).toBe(0);
  }), { numRuns: 60 });
});

test("only the gradients that are asked for are computed", async () => {
  const [x, w, g] = [t.ones(device, [2, 3]), t.ones(device, [4, 3]), t.ones(device, [2, 4])];
  const matrix = written(w);
  const attrs = { calibrate: true, needsInput: false, needsWeight: true };
  const [dx, dWeight] = t.run(t.fp8LinearGradOp, [g, x, matrix.scaling, matrix.transposed, null, null], attrs);
  expect([dx.shape, dWeight.shape]).toEqual([[0, 3], [4, 3]]);
  expect(relativeError(await dWeight.read(), new Array(12).fill(2))).toBeLessThan(1e-6);
  const [value] = t.valueAndGrad((p: { w: t.Tensor }) => t.sum(t.fp8Linear(x, p.w, matrix, { calibrate: true })))({ w });
  expect(await value.item()).toBeCloseTo(24, 4);
});

test("a factor follows the largest magnitude of sixteen updates, and stays where there was none or no finite one", async () => {
  const scaling = t.fp8Scaling(device);
  const row = async (i: number): Promise<number[]> => [...(await scaling.read())].slice(i * count, (i + 1) * count) as number[];
  t.fp8Update([scaling]);
  expect((await row(0)).slice(inverse, scale + 1)).toEqual([1, 1, 1]);
  const note = (top: number): void => {
    const values = [1, 1, 1, top, ...new Array<number>(count - history).fill(0)];
    t.assign(scaling, t.tensor(device, [...values, ...values, ...values], [3, count]));
  };
  note(7);
  t.fp8Update([scaling]);
  expect(await row(0)).toEqual([1 / 32, 1, 32, 0, 7, ...new Array<number>(15).fill(0)]);
  expect((await row(2))[scale]).toBe(4096);
  for (let i = 0; i < 15; i++) t.fp8Update([scaling]);
  expect((await row(1))[scale]).toBe(32);
  note(0);
  t.fp8Update([scaling]);
  expect((await row(1)).slice(inverse, scale + 1)).toEqual([1, 1, 1]);
  note(Infinity);
  t.fp8Update([scaling]);
  expect((await row(1)).slice(inverse, scale + 1)).toEqual([1, 1, 1]);
});

test("says what does not fit", () => {
  const [x, w] = [t.ones(device, [2, 3]), t.ones(device, [4, 3])];
  const matrix = written(w);
  expect(() => t.fp8Linear(x, t.ones(device, [4, 2]), matrix)).toThrow("fp8Linear: expected x [..., C] and weight [O, C], got [2, 3] and [4, 2]");
  expect(() => t.fp8Linear(x, w, { ...matrix, scaling: t.ones(device, [3]) })).toThrow("expected a scaling f32 [3, 20], as fp8Scaling makes it, got f32 [3]");
  expect(() => t.fp8Linear(x, w, matrix, { residual: x })).toThrow("expected a residual [2, 4], got [2, 3]");
  expect(() => t.fp8Linear(x, t.cast(w, "bf16"), matrix)).toThrow("expected one float dtype, got f32, bf16");
  expect(() => t.fp8Linear(x, t.ones(device, [5, 3]), matrix)).toThrow(
    "expected weights that fill a matrix [4, 3], got [5, 3]",
  );
  expect(() => t.fp8Linear(x, w, { ...matrix, rowwise: w })).toThrow("expected a matrix of f8e4m3, as fp8Matrix makes it, got f32 and f8e4m3");
  expect(() => t.writeFp8(matrix, [t.ones(device, [2, 3]), t.ones(device, [1, 3])])).toThrow("expected weights that fill a matrix [4, 3], got [2, 3], [1, 3]");
  expect(() => t.fp8Update([matrix.scaling], 2)).toThrow("expected a margin above 0 and at most 1, got 2");
  expect(() => t.fp8Update([x])).toThrow("expected a scaling f32 [3, 20]");
});

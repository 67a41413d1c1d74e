import {
  DeviceError,
  disposeTree,
  mul,
  referenceDevice,
  scope,
  sum,
  tensor,
  valueAndGrad,
  type Tensor,
} from "@danu/tensor";
import { expectClose, gradcheck, times } from "@danu/testing";
import fc from "fast-check";
import { afterEach, expect, test } from "vitest";

import { lengthDesensitizedWeights, sequenceLengths, sequenceLogProbabilities, splitPairs } from "./index.ts";

const device = referenceDevice();
afterEach(() => {
  expect(device.liveBuffers).toBe(0);
});

const segmentsOf = (values: readonly number[], shape = [values.length]): Tensor => tensor(device, values, shape, "i32");

test("every sequence is the sum of its tokens, wherever they lie", async () => {
  const token = fc.record({ value: fc.integer({ min: -64, max: -1 }), segment: fc.integer({ min: -1, max: 3 }) });
  await fc.assert(
    fc.asyncProperty(fc.array(token, { maxLength: 20 }), async (row) => {
      const tokens = tensor(
        device,
        row.map(({ value }) => value / 8),
      );
      const segments = segmentsOf(row.map(({ segment }) => segment));
      const [totals, lengths] = scope(
        () => [sequenceLogProbabilities(tokens, segments, 4), sequenceLengths(segments, 4)] as const,
      );
      const members = [0, 1, 2, 3].map((segment) => row.filter((each) => each.segment === segment));
      // Summed before they are divided, so that an empty one is 0 and not −0.
      expect(Array.from(await totals.read())).toEqual(
        members.map((each) => each.reduce((total, { value }) => total + value, 0) / 8),
      );
      expect(Array.from(await lengths.read())).toEqual(members.map((each) => each.length));
      disposeTree([tokens, segments, totals, lengths]);
    }),
    times(60),
  );
});

test("rows of a batch are one list of tokens, and what belongs to no sequence may be NaN", async () => {
  const tokens = tensor(device, [NaN, -1, -2, -4, NaN, -8], [2, 3]);
  const segments = segmentsOf([-1, 0, 1, 0, -1, 1], [2, 3]);
  const totals = scope(() => sequenceLogProbabilities(tokens, segments, 2));
  expect(Array.from(await totals.read())).toEqual([-5, -10]);
  const [loss, gradient] = valueAndGrad((x: Tensor) => {
    const { chosen, rejected } = splitPairs(sequenceLogProbabilities(x, segments, 2));
    return sum(mul(chosen, rejected));
  })(tokens);
  expect(Array.from(await gradient.read())).toEqual([0, -10, -5, -10, 0, -5]);
  disposeTree([tokens, segments, totals, loss, gradient]);
});

test("gradients, with weights of tokens, are those of central differences", async () => {
  const segments = { shape: [5], dtype: "i32", values: [1, -1, 0, 1, 0] } as const;
  const row = (values: readonly number[]) => ({ shape: [5], dtype: "f32", values }) as const;
  await gradcheck(
    (x, weights, ids) => sequenceLogProbabilities(x!, ids!, 3, { weights: weights! }),
    [row([-1, -2, -3, -4, -5]), row([1, 0.5, 0.25, 2, 1]), segments],
  );
});

test("a segment that is none of the sequences fails at the read; wrong inputs fail at once", async () => {
  const tokens = tensor(device, [-1, -2]);
  const segments = segmentsOf([0, 2]);
  const totals = scope(() => sequenceLogProbabilities(tokens, segments, 2));
  await expect(totals.read()).rejects.toThrow(DeviceError);
  expect(() => sequenceLogProbabilities(tokens, tokens, 2)).toThrow("expected i32 segments, got f32");
  expect(() => sequenceLogProbabilities(segments, segments, 2)).toThrow("expected one f32 number a token, got i32");
  expect(() => sequenceLengths(segments, -1)).toThrow("expected a whole number of sequences, got -1");
  using short = segmentsOf([0]);
  expect(() => sequenceLogProbabilities(tokens, short, 2)).toThrow("expected a segment for every token [2], got [1]");
  using odd = tensor(device, [1, 2, 3]);
  expect(() => splitPairs(odd)).toThrow("expected [2B] sequences, chosen before rejected, got [3]");
  disposeTree([tokens, segments, totals]);
});

test("length desensitisation weighs what one answer has beyond the other", () => {
  const segments = [-1, 0, 0, 0, -1, 2, -1, 1, -1, 3, 3];
  expectClose(lengthDesensitizedWeights(segments, 2, 0.25), [0, 1, 0.25, 0.25, 0, 1, 0, 1, 0, 1, 0.25]);
  expect(() => lengthDesensitizedWeights(segments, 1, 0.25)).toThrow("expected segments from -1 to 1, got 2");
  expect(() => lengthDesensitizedWeights([0.5], 1, 0.25)).toThrow("got 0.5");
  expect(() => lengthDesensitizedWeights(segments, 2, 1.5)).toThrow("expected alpha from 0 to 1, got 1.5");
});

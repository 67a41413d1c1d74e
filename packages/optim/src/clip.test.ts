import { disposeTree, referenceDevice, scope, tensor } from "@danu/tensor";
import fc from "fast-check";
import { expect, test } from "vitest";

import { clipScale, sumSquares } from "./index.ts";

test("norm and scale are those of the formula, over any tensors and bounds", async () => {
  const device = referenceDevice({ precision: "f64" });
  const values = fc.array(fc.double({ min: -1e3, max: 1e3, noNaN: true }), { maxLength: 5 });
  const bound = fc.oneof(fc.double({ min: 1e-3, max: 1e6, noNaN: true }), fc.constant(Infinity));
  await fc.assert(fc.asyncProperty(fc.array(values, { minLength: 1, maxLength: 4 }), bound, async (lists, maxNorm) => {
    const gradients = lists.map((list) => tensor(device, list));
    const { norm, scale } = scope(() => clipScale(gradients, maxNorm));
    const expected = Math.sqrt(lists.flat().reduce((sum, x) => sum + x * x, 0));
    expect(Math.abs(await norm.item() - expected)).toBeLessThanOrEqual(1e-12 * Math.max(1, expected));
    const factor = Math.min(1, maxNorm / (expected + 1e-6));
    expect(Math.abs(await scale.item() - factor)).toBeLessThanOrEqual(1e-12);
    disposeTree([gradients, norm, scale]);
    expect(device.liveBuffers).toBe(0);
  }), { numRuns: 60 });
});

test("what is scaled has at most the bound's norm, and a small gradient stays as it is", async () => {
  const device = referenceDevice();
  const gradients = [tensor(device, [3, 4]), tensor(device, [12])];
  const { norm, scale } = scope(() => clipScale(gradients, 2));
  expect(await norm.item()).toBe(13);
  expect(await scale.item()).toBeCloseTo(2 / 13, 6);
  expect(await scope(() => clipScale(gradients, 13.5)).scale.item()).toBe(1);
  expect(await scope(() => clipScale(gradients, Infinity)).scale.item()).toBe(1);
});

test("no tensors and other types than f32 are refused", () => {
  const device = referenceDevice();
  expect(() => sumSquares([])).toThrow("sumSquares: expected at least one tensor");
  expect(() => sumSquares([tensor(device, [1], [1], "bf16")])).toThrow("sumSquares: expected f32, got bf16");
});

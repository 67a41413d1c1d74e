import fc from "fast-check";
import { expect, test } from "vitest";

import { expOfNegative } from "./exp.ts";

test("e^x of what is not above 0", () => {
  fc.assert(fc.property(fc.double({ min: -700, max: 0, noNaN: true }), (x) => {
    expect(Math.abs(expOfNegative(x) / Math.exp(x) - 1)).toBeLessThan(2e-13);
  }), { numRuns: 2000 });
  expect([0, -0, -746, -1e9, -Infinity].map(expOfNegative)).toEqual([1, 1, 0, 0, 0]);
  expect(expOfNegative(-740)).toBeGreaterThan(0);
  expect(expOfNegative(NaN)).toBeNaN();
});

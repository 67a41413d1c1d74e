import { broadcastable, shapes, times } from "@danu/testing";
import fc from "fast-check";
import { describe, expect, expectTypeOf, test } from "vitest";

import { ShapeError } from "./errors.ts";
import {
  broadcastShapes,
  broadcastStrides,
  checkShape,
  dims,
  formatShape,
  resolveAxis,
  sameShape,
  sizeOf,
  stridesOf,
} from "./shape.ts";

test("strides step through a dense tensor in row-major order", () => {
  expect(stridesOf([2, 3, 4])).toEqual([12, 4, 1]);
  expect(stridesOf([])).toEqual([]);
  fc.assert(
    fc.property(shapes({ minRank: 1 }), (shape) => {
      expect(stridesOf(shape)[0]! * shape[0]!).toBe(sizeOf(shape));
    }),
    times(100)
  );
});

describe("broadcasting", () => {
  test("aligns from the right and stretches axes of 1", () => {
    expect(broadcastShapes("add", [2, 1, 3], [4, 1])).toEqual([2, 4, 3]);
    expect(broadcastShapes("add", [], [5])).toEqual([5]);
    expect(broadcastShapes("add", [1], [0])).toEqual([0]);
  });

  test("does not depend on the order of the operands, and covers each of them", () => {
    fc.assert(
      fc.property(broadcastable(2), ([a, b]) => {
        const both = broadcastShapes("add", a!, b!);
        expect(broadcastShapes("add", b!, a!)).toEqual(both);
        expect(broadcastShapes("add", a!, both)).toEqual(both);
        expect(broadcastStrides(a!, both)).toHaveLength(both.length);
      }),
      times(200)
    );
  });

  test("names function and shapes when they do not fit", () => {
    expect(() => broadcastShapes("add", [2, 3], [3, 2])).toThrow("add: shapes do not broadcast: [2, 3] and [3, 2]");
  });

  test("stretched axes have stride 0", () => {
    expect(broadcastStrides([2, 1, 3], [4, 2, 5, 3])).toEqual([0, 3, 0, 1]);
  });
});

test("shapes must be whole numbers of a safe product", () => {
  expect(() => checkShape("full", [2, -1])).toThrow(
    "full: expected sizes that are whole numbers of at least 0, got [2, -1]"
  );
  for (const shape of [[1.5], [NaN], [2 ** 40, 2 ** 40]]) expect(() => checkShape("full", shape)).toThrow(ShapeError);
  expect(() => checkShape("full", [0, 5])).not.toThrow();
});

test("axes count from either end", () => {
  expect([resolveAxis("sum", 1, 3), resolveAxis("sum", -1, 3)]).toEqual([1, 2]);
  for (const axis of [3, -4, 0.5])
    expect(() => resolveAxis("sum", axis, 3)).toThrow(`sum: axis ${axis} is not one of the 3 axes`);
});

test("dims names the axes, in value and in type", () => {
  const sizes = dims({ shape: [2, 7, 3] }, "B T 3");
  expect(sizes).toMatchObject({ B: 2, T: 7 });
  expectTypeOf(sizes).toEqualTypeOf<Record<"B" | "T", number>>();
  // @ts-expect-error: C is not in the pattern
  expect(sizes.C).toBeUndefined();
  expect(() => dims({ shape: [2, 7, 4] }, "B T 3")).toThrow("expected a tensor of shape [B, T, 3], got [2, 7, 4]");
  expect(() => dims({ shape: [2, 7] }, "B T 3")).toThrow(ShapeError);
});

test("shapes print and compare", () => {
  expect(formatShape([2, 3])).toBe("[2, 3]");
  expect([sameShape([2], [2]), sameShape([2], [2, 1]), sameShape([], [])]).toEqual([true, false, true]);
});

import { expect, test } from "vitest";

import { expectClose } from "./expect-close.ts";
import { ordinals } from "./ulps.ts";

test("close numbers pass, NaN and infinities only beside their like", () => {
  expectClose([1, NaN, Infinity, -0], [1 + 1e-7, NaN, Infinity, 0], { rtol: 1e-6 });
  expect(() => expectClose([NaN], [1])).toThrow("worst at index 0: expected 1, got NaN");
  expect(() => expectClose([1], [NaN])).toThrow("expected NaN, got 1");
  expect(() => expectClose([Infinity], [-Infinity])).toThrow("expected -Infinity, got Infinity");
  expect(() => expectClose([Infinity], [1e308], { rtol: 1 })).toThrow("got Infinity");
  expect(() => expectClose([1], [1, 2])).toThrow("expected 2 values, got 1");
});

test("the worst element is named, by how far it is beyond its own tolerance", () => {
  expect(() => expectClose([1.1, 1000.2, 3], [1, 1000, 3], { rtol: 1e-3 })).toThrow(
    "1 of 3 values differ by more than 0 + 0.001 · |expected|; worst at index 0: expected 1, got 1.1"
  );
});

test("neighbours are one step apart in every type, across 0 and up to infinity", () => {
  expect([...ordinals("bf16", [0, -0, 2 ** -133, -(2 ** -133)])]).toEqual([0, -0, 1, -1]);
  const [largest, infinity] = ordinals("f32", [3.4028234663852886e38, Infinity]);
  expect(infinity! - largest!).toBe(1);
  expect([...ordinals("f8e4m3", [1, 1.125, 448, 1e9])]).toEqual([56, 57, 126, 126]);
  expect([...ordinals("i32", [-5, 7])]).toEqual([-5, 7]);
});

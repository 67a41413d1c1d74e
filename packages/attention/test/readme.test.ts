import * as tensor from "@danu/tensor";
import { runExample } from "@danu/testing";
import { expect, test } from "vitest";

import * as subject from "../src/index.ts";

const printed = (): Promise<unknown[][]> => (
  runExample(new URL("../README.md", import.meta.url), { "@danu/attention": subject, "@danu/tensor": tensor })
);

test("the example mixes values of 1 to 1, with the cache and without", async () => {
  const [[shape, mixed, cached, length]] = (await printed()) as [[number[], Float32Array, Float32Array, number]];
  expect(shape).toEqual([1, 6, 4, 8]);
  expect(length).toBe(6);
  for (const values of [mixed, cached]) {
    expect(values.length).toBe(192);
    for (const value of values) expect(value).toBeCloseTo(1, 5);
  }
});

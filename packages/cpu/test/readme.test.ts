import * as tensor from "@danu/tensor";
import { runExample } from "@danu/testing";
import { expect, test } from "vitest";

import * as subject from "../src/index.ts";

const printed = (): Promise<unknown[][]> => (
  runExample(new URL("../README.md", import.meta.url), { "@danu/cpu": subject, "@danu/tensor": tensor })
);

test("the example prints the loss and the gradient it claims", async () => {
  const [isa, threads, loss, gradient] = (await printed())[0] as [string, number, number, Float32Array];
  expect(subject.isas).toContain(isa);
  expect(threads).toBeGreaterThan(0);
  expect(loss).toBeCloseTo(6.5536, 4);
  expect(gradient.length).toBe(2560);
  for (const value of gradient) expect(value).toBeCloseTo(0.512, 4);
});

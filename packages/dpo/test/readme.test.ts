import { readFileSync } from "node:fs";

import * as tensor from "@danu/tensor";
import { runExample } from "@danu/testing";
import { expect, test } from "vitest";

import * as subject from "../src/index.ts";

const readme = new URL("../README.md", import.meta.url);

test("the example prints loss, gradient and accuracy", async () => {
  const printed = await runExample(readme, { "@danu/dpo": subject, "@danu/tensor": tensor });
  const [loss, gradient, accuracy] = printed[0] as [number, Float32Array, number];
  const logistic = (x: number): number => Math.log1p(Math.exp(-x));
  expect(loss).toBeCloseTo((logistic(0.225) + logistic(-0.1)) / 2, 6);
  expect(loss.toFixed(4)).toBe(/prints the loss ([\d.]+\d)/.exec(readFileSync(readme, "utf8"))![1]);
  [0.225, -0.1].forEach((x, i) => expect(gradient[i]).toBeCloseTo(-0.05 / (1 + Math.exp(x)), 6));
  expect(accuracy).toBe(0.5);
});

test("the table of losses is the one in the code", () => {
  const shared = ["referenceFree", "divergence", "divergenceAlpha"];
  const rows = Object.entries(subject.preferenceLosses).map(([name, { formula, source, parameters }]) => {
    const own = Object.entries(parameters as Record<string, subject.Parameter>).filter(
      ([key]) => !shared.includes(key),
    );
    const defaults = own.map(([key, parameter]) => `${key} ${String(parameter.default)}`).join(", ") || "none";
    return `| \`${name}\` | \`${formula}\` | ${source} | ${defaults} |`;
  });
  const table = readFileSync(readme, "utf8")
    .split("\n")
    .filter((line) => line.startsWith("| `"));
  expect(table).toEqual(rows);
});

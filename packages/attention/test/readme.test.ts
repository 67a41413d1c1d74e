import { readFileSync } from "node:fs";

import * as tensor from "@danu/tensor";
import { expect, test } from "vitest";

import * as subject from "../src/index.ts";

const modules: Readonly<Record<string, object>> = { "@danu/attention": subject, "@danu/tensor": tensor };
const AsyncFunction = Object.getPrototypeOf(async () => undefined).constructor as new (
  ...code: string[]
) => (modules: object, console: { log: (...values: unknown[]) => void }) => Promise<void>;

/** Runs the first example of the README and returns what it prints. */
async function printed(): Promise<unknown[][]> {
  const readme = readFileSync(new URL("../README.md", import.meta.url), "utf8");
  const example = /```js\n([^]*?)```/.exec(readme)![1]!;
  const code = example.replaceAll(/^import (\{.*\}) from (".*");$/gm, (_, names: string, name: string) => {
    for (const each of names.slice(1, -1).split(","))
      expect(modules[JSON.parse(name) as string]).toHaveProperty(each.trim());
    return `const ${names} = modules[${name}];`;
  });
  const lines: unknown[][] = [];
  await new AsyncFunction("modules", "console", code)(modules, { log: (...values) => lines.push(values) });
  return lines;
}

test("the example mixes values of 1 to 1, with the cache and without", async () => {
  const [[shape, mixed, cached, length]] = (await printed()) as [[number[], Float32Array, Float32Array, number]];
  expect(shape).toEqual([1, 6, 4, 8]);
  expect(length).toBe(6);
  for (const values of [mixed, cached]) {
    expect(values.length).toBe(192);
    for (const value of values) expect(value).toBeCloseTo(1, 5);
  }
});

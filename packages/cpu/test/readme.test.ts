import { readFileSync } from "node:fs";

import * as tensor from "@danu/tensor";
import { expect, test } from "vitest";

import * as subject from "../src/index.ts";

const modules: Readonly<Record<string, object>> = { "@danu/cpu": subject, "@danu/tensor": tensor };
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

test("the example prints the loss and the gradient it claims", async () => {
  const [isa, threads, loss, gradient] = (await printed())[0] as [string, number, number, Float32Array];
  expect(subject.isas).toContain(isa);
  expect(threads).toBeGreaterThan(0);
  expect(loss).toBeCloseTo(6.5536, 4);
  expect(gradient.length).toBe(2560);
  for (const value of gradient) expect(value).toBeCloseTo(0.512, 4);
});

import { readFileSync } from "node:fs";

import * as tensor from "@danu/tensor";
import { expect, onTestFinished, test } from "vitest";

import * as subject from "../src/index.ts";
import { temporaryFolder } from "./safetensors-files.ts";

const modules: Readonly<Record<string, object>> = { "@danu/model": subject, "@danu/tensor": tensor };
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

test("the example writes eight ids and a folder that it reads again", async () => {
  const here = process.cwd();
  process.chdir(temporaryFolder());
  onTestFinished(() => process.chdir(here));
  const lines = await printed();
  expect(lines.length).toBe(9);
  for (const [id] of lines.slice(0, 8)) expect(Number.isInteger(id)).toBe(true);
  expect(lines[8]).toEqual([6, 57]);
});

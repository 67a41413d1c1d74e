import { readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { expect, onTestFinished, test } from "vitest";
import * as data from "../src/index.ts";
import { put, temporaryFolder } from "./support.ts";

test("the README's example runs", async () => {
  const readme = readFileSync(fileURLToPath(new URL("../README.md", import.meta.url)), "utf8");
  const example = /```js\n([^]*?)```/.exec(readme)?.[1] ?? "";
  const [, names = ""] = /^import \{ (.*) \} from "@danu\/data";$/m.exec(example) ?? [];
  const body = example.replace(/^import .*$/m, "");
  expect(body.trim().split("\n").length).toBeLessThanOrEqual(16);

  const folder = temporaryFolder();
  put(join(folder, "corpus", "a.txt"), "A text to learn from. ".repeat(500));
  put(join(folder, "tokenizer.model"), "a tokenizer");
  const here = process.cwd();
  process.chdir(folder);
  onTestFinished(() => process.chdir(here));
  const values = names.split(", ").map((name) => (data as Record<string, unknown>)[name]);
  expect(values).not.toContain(undefined);
  const run = Object.getPrototypeOf(async () => {}).constructor as new (...code: string[]) => (
    ...values: unknown[]
  ) => Promise<unknown>;
  await new run(...names.split(", "), "console", body)(...values, { log: (line: string) => expect(line).toBeTruthy() });
});

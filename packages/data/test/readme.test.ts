import { join } from "node:path";

import { runExample } from "@danu/testing";
import { expect, onTestFinished, test } from "vitest";

import * as data from "../src/index.ts";
import { put, temporaryFolder } from "./support.ts";

test("the README's example runs", async () => {
  const folder = temporaryFolder();
  put(join(folder, "corpus", "a.txt"), "A text to learn from. ".repeat(500));
  put(join(folder, "tokenizer.model"), "a tokenizer");
  const here = process.cwd();
  process.chdir(folder);
  onTestFinished(() => process.chdir(here));
  const printed = await runExample(new URL("../README.md", import.meta.url), { "@danu/data": data });
  expect(printed.length).toBeGreaterThan(1);
  expect(JSON.parse(printed.at(-1)![0] as string)).toMatchObject({ position: 7 * 1024, seed: 1 });
});

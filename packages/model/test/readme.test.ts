import * as tensor from "@danu/tensor";
import { runExample } from "@danu/testing";
import { expect, onTestFinished, test } from "vitest";

import * as subject from "../src/index.ts";
import { temporaryFolder } from "./safetensors-files.ts";

const printed = (): Promise<unknown[][]> => (
  runExample(new URL("../README.md", import.meta.url), { "@danu/model": subject, "@danu/tensor": tensor })
);

test("the example writes eight ids and a folder that it reads again", async () => {
  const here = process.cwd();
  process.chdir(temporaryFolder());
  onTestFinished(() => process.chdir(here));
  const lines = await printed();
  expect(lines.length).toBe(9);
  for (const [id] of lines.slice(0, 8)) expect(Number.isInteger(id)).toBe(true);
  expect(lines[8]).toEqual([6, 57]);
});

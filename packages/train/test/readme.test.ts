import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

import * as tensor from "@danu/tensor";
import { runExample } from "@danu/testing";
import { expect, onTestFinished, test } from "vitest";

import * as subject from "../src/index.ts";

test("the example fits the line and leaves a report", async () => {
  const [here, folder] = [process.cwd(), mkdtempSync(join(tmpdir(), "danu-train-"))];
  process.chdir(folder);
  onTestFinished(() => {
    process.chdir(here);
    rmSync(folder, { recursive: true });
  });
  const printed = await runExample(new URL("../README.md", import.meta.url), { "@danu/train": subject, "@danu/tensor": tensor });
  const [stopped, w] = printed.at(-1) as [string, Float32Array];
  expect(stopped).toBe("complete");
  [2, 1].forEach((wanted, i) => expect(w[i]).toBeCloseTo(wanted, 1));
  expect(existsSync("run/report.html")).toBe(true);
});

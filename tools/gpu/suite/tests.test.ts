import { readdirSync } from "node:fs";

import { expect, test } from "vitest";

import { testFiles } from "./tests.ts";

// Of the sources, the twin and the stand-in rather than of the device.
const notForGpus = ["compile", "cublaslt-host", "host-errors", "kernel", "mutation", "readme", "signatures", "standin", "standin-cublaslt", "twin"];

test("every test of the CUDA device runs on a GPU", () => {
  const files = readdirSync(new URL("../../../packages/cuda/test", import.meta.url)).filter((file) => file.endsWith(".test.ts"));
  const known = [...notForGpus, ...Object.keys(testFiles)];
  expect(files.map((file) => file.slice(0, -".test.ts".length)).filter((name) => !known.includes(name))).toEqual([]);
});

import { spawnSync } from "node:child_process";
import { fileURLToPath } from "node:url";

import { describe, expect, test } from "vitest";

import { bestIsa } from "../src/index.ts";

const script = fileURLToPath(new URL("../native/build.mjs", import.meta.url));
const best = bestIsa();
const minutes = 10;

function runs(command: string): boolean {
  return spawnSync(command, ["--version"], { stdio: "ignore" }).status === 0;
}

/** Brings the native tests up to date, runs those with this text in their name, and returns what they said. */
function nativeTests(...options: readonly string[]): string {
  const { status, stdout, stderr } = spawnSync(process.execPath, [script, "--test", ...options], { encoding: "utf8" });
  expect(status, `${stdout}\n${stderr}`).toBe(0);
  expect(stdout).not.toContain("FAIL");
  return stdout;
}

const compilers = process.env["CXX"] ? [process.env["CXX"]] : ["c++", "g++", "clang++"];
const noCompiler = compilers.some(runs) ? "" : `: no ${compilers.join(", ")}`;

describe.skipIf(noCompiler)(`native tests${noCompiler}`, () => {
  test(`all of them pass on ${best}`, { timeout: minutes * 60_000 }, () => {
    expect(nativeTests("--isa", best).match(/^ok /gm)!.length).toBeGreaterThan(50);
  });
});

const missing = ["aarch64-linux-gnu-g++", "qemu-aarch64"].filter((name) => !runs(name));
const noEmulator = missing.length === 0 ? "" : `: no ${missing.join(", no ")}`;

// The emulator runs one thread at the speed of years ago: what takes it more than some seconds is left to the soak.
const quick = [
  "simd",
  "unary",
  "where",
  "iota",
  "adamw",
  "rmsNorm",
  "swiglu",
  "embedding",
  "memory",
  "rope: a position",
  "linearCrossEntropy",
  "gemm: NaN",
  "attention: NaN in keys",
  "attention: no number",
];

describe.skipIf(noEmulator || best === "neon")(`native tests on emulated NEON${noEmulator}`, () => {
  const names = process.env["DANU_SOAK"] ? [""] : quick;

  test.each(names)("%s", { timeout: minutes * 60_000 }, (name) => {
    expect(nativeTests("--target", "aarch64", "--", name).match(/^ok /gm)!.length).toBeGreaterThan(0);
  });
});

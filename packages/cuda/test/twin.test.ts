import { spawnSync } from "node:child_process";
import { existsSync, mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

import { afterAll, describe, expect, test } from "vitest";

import { cudaHome } from "./cuda-home.ts";

const kernels = fileURLToPath(new URL("../kernels", import.meta.url));
const cases = fileURLToPath(new URL("twin", import.meta.url));
const compiler = process.env["CXX"] ?? "g++";
const missing = [
  ...(spawnSync(compiler, ["--version"], { stdio: "ignore" }).status === 0 ? [] : [compiler]),
  ...(existsSync(join(cudaHome, "include/cuda_bf16.h")) ? [] : [`CUDA headers in ${cudaHome}`]),
];
const reason = missing.length === 0 ? "" : `: no ${missing.join(", no ")}`;

const folder = mkdtempSync(join(tmpdir(), "danu-twin-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

// Each program compiles the unmodified kernels against the CPU twin and compares them with plain loops.
describe.skipIf(reason)(`kernels on the CPU twin${reason}`, () => {
  test.each(readdirSync(cases).filter((name) => name.endsWith(".cpp")))("%s", { timeout: 600_000 }, (name) => {
    const program = join(folder, name.slice(0, -".cpp".length));
    const includes = [`-I${join(cudaHome, "include")}`, `-I${join(kernels, "twin")}`];
    const built = spawnSync(compiler, ["-O2", "-std=c++17", "-w", ...includes, join(cases, name), "-o", program], { encoding: "utf8" });
    expect(built.status, built.stderr).toBe(0);
    const { status, stdout, stderr } = spawnSync(program, { encoding: "utf8" });
    expect(status, `${stdout}\n${stderr}`).toBe(0);
    expect(stdout).toMatch(/\bok\b/);
    expect(stdout).not.toContain("WRONG");
  });
});

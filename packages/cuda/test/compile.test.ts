import { spawnSync } from "node:child_process";
import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

import { afterAll, describe, expect, test } from "vitest";

import { cudaHome } from "./cuda-home.ts";

const nvcc = join(cudaHome, "bin/nvcc");
const kernels = fileURLToPath(new URL("../kernels", import.meta.url));
const reason = existsSync(nvcc) ? "" : `: no ${nvcc}`;
const folder = mkdtempSync(join(tmpdir(), "danu-compile-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

describe.skipIf(reason)(`kernels for Hopper${reason}`, () => {
  test.each(["kernels.cu"])("%s compiles without spills, local arrays or serialised products", { timeout: 600_000 }, (name) => {
    const source = fileURLToPath(new URL(name, import.meta.url));
    const { status, stdout, stderr } = spawnSync(nvcc, [
      "-gencode=arch=compute_90a,code=sm_90a", "-O3", "-use_fast_math", "-std=c++17", `-I${join(kernels, "device")}`,
      "-cubin", "-Xptxas", "-v", source, "-o", join(folder, "kernels.cubin"),
    ], { encoding: "utf8" });
    const said = stdout + stderr;
    expect(status, said).toBe(0);
    const frames = said.match(/\d+ bytes stack frame, \d+ bytes spill stores, \d+ bytes spill loads/g) ?? [];
    expect(frames.length).toBeGreaterThan(0);
    expect(new Set(frames)).toEqual(new Set(["0 bytes stack frame, 0 bytes spill stores, 0 bytes spill loads"]));
    // C7508: register limits ignored; C7510 to C7514: products of the tensor cores one after another.
    expect(said).not.toMatch(/C75(?:08|1[0-4])/);
  });
});

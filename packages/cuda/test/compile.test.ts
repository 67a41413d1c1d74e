import { spawnSync } from "node:child_process";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { basename, join } from "node:path";
import { fileURLToPath } from "node:url";

import { beforeAll, describe, expect, test } from "vitest";

import { cudaHome } from "./cuda-home.ts";

const nvcc = join(cudaHome, "bin/nvcc");
const packageFolder = fileURLToPath(new URL("..", import.meta.url));
const reason = existsSync(nvcc) ? "" : `: no ${nvcc}`;
const names = readdirSync(join(packageFolder, "kernels"), { recursive: true, encoding: "utf8" }).filter((file) => file.endsWith(".cu")).map((file) => basename(file, ".cu"));

describe.skipIf(reason)(`compiled kernels${reason}`, () => {
  // Files that are current are not compiled again.
  beforeAll(() => {
    const { status, stdout, stderr } = spawnSync(process.execPath, ["kernels/build.mjs"], {
      cwd: packageFolder, encoding: "utf8", env: { ...process.env, DANU_BUILD_ISA: undefined },
    });
    expect(status, stdout + stderr).toBe(0);
  }, 1_800_000);

  test.each(names)("%s has no spills, local arrays or serialised products on any GPU", (name) => {
    const said = readFileSync(join(packageFolder, "lib", `${name}.ptxas.txt`), "utf8");
    const frames = said.match(/\d+ bytes stack frame, \d+ bytes spill stores, \d+ bytes spill loads/g) ?? [];
    expect(frames.length).toBeGreaterThan(0);
    expect(new Set(frames)).toEqual(new Set(["0 bytes stack frame, 0 bytes spill stores, 0 bytes spill loads"]));
    // C7508: register limits ignored; C7510 to C7514: products of the tensor cores one after another.
    expect(said).not.toMatch(/C75(?:08|1[0-4])/);
  });
});

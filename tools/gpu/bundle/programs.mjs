import { execFile, execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import { copyFileSync, existsSync, mkdirSync, mkdtempSync, readdirSync, renameSync, rmSync } from "node:fs";
import { availableParallelism } from "node:os";
import { join, relative } from "node:path";
import { promisify } from "node:util";

import { device, flagsIn, sourcesOf } from "../../../packages/cuda/kernels/sources.mjs";
import { cache, cudaHome, root } from "./paths.mjs";

const run = promisify(execFile);
const nvcc = join(cudaHome, "bin/nvcc");
// The programs are for Hopper, and bring the CUDA runtime along.
const flags = ["-gencode=arch=compute_90a,code=sm_90a", "-O3", "-std=c++17", "-cudart", "static", "-Xlinker", "-s", `-I${device}`];

/** What the kernels of a program are compiled with in the package: what is checked and timed is what the device runs. */
function flagsOfKernels(program, sources) {
  const kernels = [...sources].filter(([path]) => path !== program && path.endsWith(".cu"));
  const byFlags = new Map(kernels.map(([path, text]) => [flagsIn(text).join(" "), relative(root, path)]));
  if (byFlags.size > 1) {
    const found = [...byFlags].map(([flags, path]) => `"${flags}" of ${path}`).join(" and ");
    throw new Error(`${relative(root, program)}: expected kernels with the same flags, got ${found}; make a program of each`);
  }
  return [...byFlags.keys()].join(" ").split(" ").filter(Boolean);
}

async function build(source, output) {
  const sources = sourcesOf(source);
  const args = [...flags, ...flagsOfKernels(source, sources)];
  const hash = createHash("sha256").update([nvcc, ...args].join("\0"));
  for (const [path, text] of [...sources].sort(([a], [b]) => (a < b ? -1 : 1))) hash.update(path).update(text);
  const known = join(cache, hash.digest("hex").slice(0, 24));
  if (!existsSync(known)) {
    // From the root, so that what a program says of its source is true on every machine.
    await run(nvcc, [...args, relative(root, source), "-o", `${known}.${process.pid}`], { cwd: root });
    renameSync(`${known}.${process.pid}`, known);
  }
  copyFileSync(known, output);
}

/** Compiles every .cu of a folder and packs the programs, with the folder's scripts, as OUT/programs.tar.xz: most of each is
 *  the same CUDA runtime. */
export async function packPrograms(from, out) {
  mkdirSync(cache, { recursive: true });
  const folder = mkdtempSync(join(cache, "programs-"));
  try {
    await buildPrograms(from, folder);
    for (const name of readdirSync(from)) if (name.endsWith(".py")) copyFileSync(join(from, name), join(folder, name));
    execFileSync("tar", ["--sort=name", "--mtime=@0", "--owner=0", "--group=0", "-I", "xz -9", "-cf", join(out, "programs.tar.xz"), "-C", folder, "."]);
  } finally {
    rmSync(folder, { recursive: true });
  }
}

async function buildPrograms(from, to) {
  const waiting = readdirSync(from).filter((name) => name.endsWith(".cu")).map((name) => name.slice(0, -".cu".length));
  const worker = async () => {
    for (let name = waiting.shift(); name !== undefined; name = waiting.shift()) await build(join(from, `${name}.cu`), join(to, name));
  };
  await Promise.all(Array.from({ length: Math.max(2, availableParallelism()) }, worker));
}

// Makes the folder that puts danu to the test on a GPU: kernels, C++ programs, tests and benchmarks with a Node of their
// own, for x86-64 Linux with an NVIDIA driver and nothing else.
//
//   npm run gpu:bundle [-- OUT]     .gpu at the root by default
//
// Needs nvcc ($CUDA_HOME says where the toolkit is), strip and xz here. What did not change is not compiled again.
import { spawnSync } from "node:child_process";
import { chmodSync, copyFileSync, cpSync, existsSync, mkdirSync, readdirSync, rmSync, statSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";

import { bundleJavaScript } from "./bundle/javascript.mjs";
import { cudaHome, root } from "./bundle/paths.mjs";
import { packPrograms } from "./bundle/programs.mjs";
import { packNode } from "./bundle/runtime.mjs";

const MOST_BYTES = 45e6;

const out = resolve(process.env.INIT_CWD ?? ".", process.argv[2] ?? join(root, ".gpu"));
const cuda = join(root, "packages/cuda");

function run(command, ...args) {
  const { status, stdout, error } = spawnSync(command, args, { cwd: root, encoding: "utf8", stdio: ["ignore", "pipe", "inherit"] });
  if (status !== 0) throw new Error(`${[command, ...args].join(" ")}: ${error?.message ?? `ended with ${status}`}`);
  return stdout.trim();
}

function copyKernels() {
  const built = join(cuda, "lib");
  for (const name of readdirSync(built)) if (name.endsWith(".fatbin")) copyFileSync(join(built, name), join(out, "lib", name));
}

function copyKoffi() {
  const modules = join(root, "node_modules");
  for (const folder of ["koffi", "@koromix/koffi-linux-x64"]) {
    cpSync(join(modules, folder), join(out, "node_modules", folder), {
      recursive: true, dereference: true,
      filter: (path) => (statSync(path).isDirectory() ? !path.endsWith("/musl_x64") : /\.(?:c?js|node|json)$|\/LICENSE/.test(path)),
    });
  }
}

/** What results are of: the state of the sources, and the compilers. */
function provenance() {
  const commit = run("git", "rev-parse", "--short", "HEAD") + (run("git", "status", "--porcelain", "--untracked-files=no") === "" ? "" : " with changes");
  const nvcc = /release (\S+),/.exec(run(join(cudaHome, "bin/nvcc"), "--version"))?.[1];
  return { commit, nvcc, node: process.version, bundled: new Date().toISOString() };
}

function bytesIn(folder) {
  return readdirSync(folder, { recursive: true }).map((name) => statSync(join(folder, name))).reduce((sum, file) => sum + (file.isFile() ? file.size : 0), 0);
}

async function main() {
  if (!existsSync(join(cudaHome, "bin/nvcc"))) throw new Error(`found no nvcc in ${cudaHome}; install the CUDA toolkit 12.8 or newer, or set CUDA_HOME`);
  if (existsSync(out) && readdirSync(out).length > 0 && !existsSync(join(out, "gpu-suite"))) throw new Error(`${out}: expected a new folder, or a bundle to replace, found other files`);
  run(process.execPath, join(cuda, "kernels/build.mjs"));
  rmSync(out, { recursive: true, force: true });
  mkdirSync(join(out, "lib"), { recursive: true });
  copyKernels();
  await packPrograms(join(cuda, "gpu"), out);
  await bundleJavaScript(out);
  copyKoffi();
  packNode(out);
  copyFileSync(join(root, "tools/gpu/gpu-suite"), join(out, "gpu-suite"));
  chmodSync(join(out, "gpu-suite"), 0o755);
  writeFileSync(join(out, "provenance.json"), `${JSON.stringify(provenance(), null, 2)}\n`);

  const bytes = bytesIn(out);
  for (const name of readdirSync(out)) {
    const path = join(out, name);
    console.log(`${((statSync(path).isDirectory() ? bytesIn(path) : statSync(path).size) / 1e6).toFixed(1).padStart(6)} MB  ${name}`);
  }
  console.log(`${(bytes / 1e6).toFixed(1).padStart(6)} MB  ${out}`);
  if (bytes > MOST_BYTES) throw new Error(`expected at most ${MOST_BYTES / 1e6} MB, got ${(bytes / 1e6).toFixed(1)} MB; look at the largest above`);
}

try {
  await main();
} catch (error) {
  console.error(error.message);
  process.exitCode = 1;
}

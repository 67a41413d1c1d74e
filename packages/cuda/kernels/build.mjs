// Compiles every kernels/ROOM/NAME.cu once into lib/NAME.fatbin, for all GPUs that it serves, and keeps what ptxas said of it in
// lib/NAME.ptxas.txt.
//
//   node kernels/build.mjs [NAME]...     all by default
//
// $CUDA_HOME is where the toolkit is; $DANU_BUILD_ISA=native builds nothing on a machine without an NVIDIA GPU. A machine
// without nvcc builds nothing, and says so: the package then has no kernels, and its device cannot be opened.
import { spawn } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { availableParallelism } from "node:os";
import { basename, dirname, join, relative } from "node:path";
import { fileURLToPath } from "node:url";

import { device, flagsIn, sourcesOf } from "./sources.mjs";

const kernels = dirname(fileURLToPath(import.meta.url));
const output = join(kernels, "..", "lib");
const nvcc = join(process.env.CUDA_HOME ?? "/usr/local/cuda", "bin/nvcc");

// Ampere, Ada and Hopper; later chips compile the PTX of the oldest when they load it.
const everyGpu = ["arch=compute_80,code=[sm_80,compute_80]", "arch=compute_89,code=sm_89", "arch=compute_90a,code=sm_90a"];
const hopper = ["arch=compute_90a,code=sm_90a"];

function commandFor(source) {
  const sources = sourcesOf(source);
  const isForHopper = sources.has(join(device, "hopper.cuh"));
  const args = [
    "-fatbin", "-Xfatbin=-compress-all", "-O3", "-std=c++17", "-Xptxas", "-v", `-I${device}`, ...flagsIn(sources.get(source)),
    ...(isForHopper ? hopper : everyGpu).flatMap((target) => ["-gencode", target]), source,
  ];
  const hash = createHash("sha256").update([nvcc, ...args].join("\0"));
  for (const [path, text] of [...sources].sort(([a], [b]) => (a < b ? -1 : 1))) hash.update(path).update(text);
  return { args, hash: hash.digest("hex") };
}

function run(args) {
  return new Promise((resolve, reject) => {
    const child = spawn(nvcc, args, { stdio: ["ignore", "pipe", "pipe"] });
    let said = "";
    child.stdout.on("data", (text) => (said += text));
    child.stderr.on("data", (text) => (said += text));
    child.on("error", reject);
    child.on("close", (code) => (code === 0 ? resolve(said) : reject(new Error(`${said}nvcc failed with code ${code}: ${args.join(" ")}`))));
  });
}

/** Builds one file unless it is current; several builds at once do no harm. */
async function build(name, source) {
  const { args, hash } = commandFor(source);
  const [image, log] = [join(output, `${name}.fatbin`), join(output, `${name}.ptxas.txt`)];
  if (existsSync(image) && existsSync(log) && readFileSync(log, "utf8").startsWith(hash)) return;
  const temporary = `${image}.${process.pid}`;
  try {
    const said = await run([...args, "-o", temporary]);
    renameSync(temporary, image);
    writeFileSync(`${log}.${process.pid}`, `${hash}\n${said}`);
    renameSync(`${log}.${process.pid}`, log);
  } finally {
    rmSync(temporary, { force: true });
  }
}

/** The sources of all rooms by name, which is that of a fatbin and so of one source alone. */
function findSources() {
  const found = new Map();
  for (const file of readdirSync(kernels, { recursive: true }).filter((file) => file.endsWith(".cu")).sort()) {
    const name = basename(file, ".cu");
    if (found.has(name)) throw new Error(`${file} and ${relative(kernels, found.get(name))} would both become ${name}.fatbin; rename one`);
    found.set(name, join(kernels, file));
  }
  return found;
}

/** Removes what sources that are gone have left. */
function removeStale(known) {
  for (const file of readdirSync(output)) {
    const name = /^(.+)\.(?:fatbin|ptxas\.txt)$/.exec(file)?.[1];
    if (name !== undefined && !known.has(name)) rmSync(join(output, file));
  }
}

async function main() {
  const all = findSources();
  if (!existsSync(nvcc)) {
    console.log(`no kernels built: found no ${nvcc}; install the CUDA toolkit 12.8 or newer, or set CUDA_HOME`);
    return;
  }
  if (process.env.DANU_BUILD_ISA === "native" && !existsSync("/dev/nvidiactl")) {
    console.log("no kernels built: this machine has no NVIDIA GPU");
    return;
  }
  mkdirSync(output, { recursive: true });
  const asked = process.argv.slice(2);
  const unknown = asked.find((name) => !all.has(name));
  if (unknown !== undefined) throw new Error(`expected kernels of ${[...all.keys()].join(", ")}, got ${unknown}`);
  const names = asked.length > 0 ? asked : [...all.keys()];
  const waiting = [...names];
  const start = performance.now();
  const worker = async () => {
    for (let name = waiting.shift(); name !== undefined; name = waiting.shift()) await build(name, all.get(name));
  };
  await Promise.all(Array.from({ length: Math.max(2, availableParallelism()) }, worker));
  removeStale(all);
  console.log(`${names.length} fatbins in lib (${((performance.now() - start) / 1000).toFixed(1)} s)`);
}

try {
  await main();
} catch (error) {
  console.error(error.message);
  process.exitCode = 1;
}

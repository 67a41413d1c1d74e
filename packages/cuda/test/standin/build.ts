import { spawn } from "node:child_process";
import { copyFileSync, existsSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { basename, join } from "node:path";
import { fileURLToPath } from "node:url";

import { compiler, cudaHome } from "../cuda-home.ts";
import { nameOf, once, prune, runAll } from "./cache.ts";
import { declarationsIn } from "./declarations.ts";

const here = fileURLToPath(new URL(".", import.meta.url));
const kernels = fileURLToPath(new URL("../../kernels", import.meta.url));
const cache = fileURLToPath(new URL("../../../../node_modules/.cache/danu/standin", import.meta.url));
// What was compiled, by what it was compiled from; and by the state of all sources a folder that a driver can use.
const objects = join(cache, "objects");
const folders = join(cache, "folders");

const flags = [
  ..."-std=c++17 -O2 -w -fPIC -fvisibility=hidden -fno-gnu-unique -pthread".split(" "),
  ...[join(cudaHome, "include"), join(kernels, "twin"), here].map((folder) => `-I${folder}`),
];
// Nothing of Node's own C++ library, nor of another library of kernels, may take the place of what a library brings along.
const linked = "-shared -static-libstdc++ -static-libgcc -Wl,-Bsymbolic -Wl,--exclude-libs,ALL".split(" ");

/** The stand-in for the CUDA driver: its library, and a folder of images of the kernels that it loads. */
export interface StandinBuild {
  readonly library: string;
  readonly folder: string;
}

/** Compiles the stand-in and kernel files with the C++ compiler; nothing where the same sources were compiled before.
 *  Of a kernel file that does not compile the errors are printed, and its image does not load.
 *  @param files kernel files, without ending; all by default */
export async function buildStandin(files: readonly string[] = filesOf(kernels, ".cu").map((path) => basename(path, ".cu"))): Promise<StandinBuild> {
  const sources = [...filesOf(kernels, ".cu", ".cuh", ".h"), ...filesOf(here, ".cpp", ".cu", ".h")];
  const folder = join(folders, nameOf(compiler, ...flags, ...sources.flatMap((path) => [path, read(path)])));
  const library = join(folder, "libdanu_standin.so");
  if (!existsSync(library)) [objects, folders].forEach(prune);
  await once(library, () => buildDriver(library));
  await runAll(files.map((name) => () => once(join(folder, `${name}.fatbin`), () => buildKernels(name, folder))));
  for (const name of files) if (existsSync(errorsOf(folder, name))) process.stderr.write(read(errorsOf(folder, name)));
  return { library, folder };
}

async function buildDriver(library: string): Promise<void> {
  const headers = filesOf(here, ".h").map(read);
  const parts = filesOf(here, ".cpp").map((source) => ({ source, object: join(objects, `${nameOf(compiler, ...flags, source, read(source), ...headers)}.o`) }));
  const compile = async (source: string, object: string): Promise<void> => {
    const { code, said } = await make(object, ["-c", source]);
    if (code !== 0) throw new Error(said);
  };
  await runAll(parts.map(({ source, object }) => () => once(object, () => compile(source, object))));
  const { code, said } = await make(library, [...linked, ...parts.map(({ object }) => object), "-ldl"]);
  if (code !== 0) throw new Error(said);
}

/** Makes the library of one kernel file, and last its image: a text that says where the library is. */
async function buildKernels(name: string, folder: string): Promise<void> {
  const source = join(folder, `${name}.cpp`);
  const library = join(folder, `${name}.so`);
  const { code, said } = await compileKernels(sourceOf(name), source, library);
  rmSync(source);
  if (code !== 0) writeFileSync(errorsOf(folder, name), `${said.split("\n").slice(0, 20).join("\n")}\n`);
  writeFileSync(join(folder, `${name}.fatbin`), `danu-standin ${library}\n`);
}

async function compileKernels(path: string, source: string, output: string): Promise<Ended> {
  // The qualifiers that the twin drops stay in this text, since they say how a kernel may be launched.
  writeFileSync(source, `#include <warp.cuh>\n#undef __global__\n#undef __launch_bounds__\n#undef __cluster_dims__\n#include "${path}"\n`);
  const preprocessed = await compile([...flags, "-E", source]);
  if (preprocessed.code !== 0) return preprocessed;
  writeFileSync(source, registration(path, preprocessed.said));
  const text = preprocessed.said.replaceAll(source, "");
  const known = join(objects, `${nameOf(compiler, ...flags, text, ...["registration.h", "kernel-library.h"].map((header) => read(join(here, header))))}.so`);
  let ended: Ended = { code: 0, said: "" };
  await once(known, async () => void (ended = await make(known, [...linked, source])));
  if (ended.code === 0) copyFileSync(known, output);
  return ended;
}

/** The text of a library: the kernel file, and its kernels with the most threads of a block and the blocks of a cluster. */
function registration(path: string, preprocessed: string): string {
  const entries = declarationsIn(preprocessed).map(({ name, threads, cluster }) =>
    `Entry<&${name}>::kernel<most_threads(${threads}), cluster_size(${cluster})>("${name}"),`);
  const hopper = /^# \d+ ".*twin\/hopper\.cuh"/m.test(preprocessed);
  return `#include "${path}"
#include <registration.h>
using namespace standin;
static const Kernel kernels[] = {${entries.join("\n")} {}};
static const KernelLibrary library{kernels, ${entries.length}, ${hopper}, [](const char* why) { if (twin::self) twin::fail(why); }};
extern "C" __attribute__((visibility("default"))) const KernelLibrary* danu_standin_kernels() { return &library; }
`;
}

interface Ended {
  readonly code: number | null;
  readonly said: string;
}

/** Makes a file under another name first, so that nobody finds half of it. */
async function make(output: string, args: readonly string[]): Promise<Ended> {
  const ended = await compile([...flags, ...args, "-o", `${output}.new`]);
  if (ended.code === 0) renameSync(`${output}.new`, output);
  return ended;
}

/** Runs the compiler. `said` is its output, or what it complained of if it failed. */
function compile(args: readonly string[]): Promise<Ended> {
  return new Promise((resolve, reject) => {
    const child = spawn(compiler, args, { stdio: ["ignore", "pipe", "pipe"] });
    let [output, errors] = ["", ""];
    child.stdout.on("data", (text: Buffer) => (output += text.toString()));
    child.stderr.on("data", (text: Buffer) => (errors += text.toString()));
    child.on("error", reject);
    child.on("close", (code) => resolve({ code, said: code === 0 ? output : errors }));
  });
}

/** A kernel file of the package, or of the stand-in's own tests. */
function sourceOf(name: string): string {
  return [kernels, here].flatMap((folder) => filesOf(folder, ".cu")).find((path) => basename(path) === `${name}.cu`) ?? join(kernels, `${name}.cu`);
}

function errorsOf(folder: string, name: string): string {
  return join(folder, `${name}.errors`);
}

/** Files of a folder and of all in it. */
function filesOf(folder: string, ...endings: readonly string[]): string[] {
  const names = readdirSync(folder, { recursive: true, encoding: "utf8" });
  return names.filter((name) => endings.some((ending) => name.endsWith(ending))).sort().map((name) => join(folder, name));
}

function read(path: string): string {
  return readFileSync(path, "utf8");
}

// Compiles native/ once for every instruction set into lib/<platform>-<arch>/danu_cpu_<isa>.so.
//
//   node native/build.mjs [--isa NAME]...            build, all instruction sets of this architecture by default; the
//                                                    name "native" stands for the plain one, by which machines are
//                                                    asked, and the best of this machine; $DANU_BUILD_ISA names too
//   node native/build.mjs --test [--sanitize NAME]   build and run the native tests on what this machine can run
//   node native/build.mjs --test --target aarch64    the same, cross-compiled, run under qemu-aarch64
//
// Arguments after `--` go to the test program. $CXX names the compiler (c++, g++ or clang++ by default), $CXXFLAGS are
// appended to its flags.
import { spawn, spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from "node:fs";
import { availableParallelism } from "node:os";
import { basename, dirname, join, relative } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";

const nativeFolder = dirname(fileURLToPath(import.meta.url));
const libraryFolder = join(nativeFolder, "..", "lib");

const avx2 = ["-mavx2", "-mfma", "-mf16c"];
const avx512 = [...avx2, ..."f bw vl dq cd".split(" ").map((part) => `-mavx512${part}`), "-mprefer-vector-width=512"];

/** Instruction sets by architecture, in the order of the numbers that `danu_isa` returns. */
const instructionSets = {
  x64: { baseline: [], avx2, avx512, avx512bf16: [...avx512, "-mavx512bf16"] },
  arm64: { neon: [] },
};

// Contraction makes fused multiply-adds; nothing here may assume that NaN and infinities do not occur.
const commonFlags = [
  ..."-std=c++20 -O3 -g0 -fPIC -fno-math-errno -fno-trapping-math -ffp-contract=fast -fvisibility=hidden".split(" "),
  ..."-fvisibility-inlines-hidden -pthread -Wall -Wextra -Wno-psabi -Wno-uninitialized".split(" "),
];

// The library brings its C++ runtime along and shows nothing but the C ABI, so that it clashes with no other.
const elfLibraryFlags = [
  // Never unloaded: workers still sleep in its code when the process ends.
  ..."-static-libstdc++ -static-libgcc -Wl,--gc-sections -Wl,-s -Wl,-z,nodelete".split(" "),
  `-Wl,--version-script=${join(nativeFolder, "exports.map")}`,
];

/** A failure to be told in one sentence, without a stack. */
class BuildError extends Error {}

function works(command) {
  return spawnSync(command, ["--version"], { stdio: "ignore" }).status === 0;
}

function findCompiler(cross) {
  const native = process.env.CXX ? [process.env.CXX] : ["c++", "g++", "clang++"];
  const candidates = cross ? ["aarch64-linux-gnu-g++"] : native;
  const found = candidates.find(works);
  if (found === undefined) {
    throw new BuildError(
      `no C++ compiler: expected ${candidates.join(", ")} to run; install g++ 12 or newer (or clang 15), or set CXX`,
    );
  }
  return found;
}

function filesUnder(folder, ending) {
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile() && entry.name.endsWith(ending))
    .map((entry) => join(entry.parentPath ?? entry.path, entry.name));
}

/** Runs a program to its end and returns what it said; it throws with that text if the program fails. */
function runProgram(command, args) {
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, { stdio: ["ignore", "pipe", "pipe"] });
    let said = "";
    child.stdout.on("data", (text) => (said += text));
    child.stderr.on("data", (text) => (said += text));
    child.on("error", reject);
    child.on("close", (code) => {
      if (code === 0) resolve(said);
      else reject(new BuildError(`${said}${command} failed with code ${code}: ${args.join(" ")}`));
    });
  });
}

/** Runs the jobs, as many at once as there are cores. */
async function runAll(jobs) {
  const waiting = [...jobs];
  const worker = async () => {
    for (let job = waiting.shift(); job !== undefined; job = waiting.shift()) await job();
  };
  await Promise.all(Array.from({ length: Math.max(2, availableParallelism()) }, worker));
}

function hashOf(command, files) {
  const hash = createHash("sha256").update(command.join("\0"));
  for (const file of files) hash.update(file).update(readFileSync(file));
  return hash.digest("hex");
}

/** Files a source was made from, as the compiler noted them; undefined before the first time. */
function dependencies(object) {
  const list = `${object}.d`;
  if (!existsSync(list)) return undefined;
  const names = readFileSync(list, "utf8").replaceAll("\\\n", " ").split(": ").slice(1).join(" ").split(/\s+/);
  const files = names.filter((name) => name !== "");
  return files.every((file) => existsSync(file)) ? files : undefined;
}

function isCurrent(output, command, inputs) {
  const stamp = `${output}.hash`;
  if (inputs === undefined || !existsSync(output) || !existsSync(stamp)) return false;
  return readFileSync(stamp, "utf8") === hashOf(command, inputs);
}

/** Builds under a name of this process and renames, so that two builds at once do no harm. */
async function make(compiler, output, args, inputsAfter) {
  const temporary = `${output}.${process.pid}`;
  try {
    const said = await runProgram(compiler, [...args, "-o", temporary]);
    if (said !== "") process.stderr.write(said);
    renameSync(temporary, output);
  } finally {
    rmSync(temporary, { force: true });
  }
  writeFileSync(`${output}.hash`, hashOf([compiler, ...args], inputsAfter()));
}

async function compileSource(compiler, flags, source, object) {
  mkdirSync(dirname(object), { recursive: true });
  const args = [...flags, "-MMD", "-MF", `${object}.d`, "-MT", "object", "-c", source];
  if (isCurrent(object, [compiler, ...args], dependencies(object))) return false;
  await make(compiler, object, args, () => dependencies(object) ?? [source]);
  return true;
}

async function link(compiler, flags, objects, output) {
  mkdirSync(dirname(output), { recursive: true });
  const args = [...flags, ...objects];
  if (!isCurrent(output, [compiler, ...args], objects)) await make(compiler, output, args, () => objects);
}

/** What a compiler defines where a machine has all that an instruction set of ours needs, the best first. */
const nativeMacros = { avx512bf16: "__AVX512BF16__", avx512: "__AVX512BW__", avx2: "__AVX2__" };

/** The plain instruction set and the best of this machine; all where the compiler cannot tell. */
function nativeSets(compiler, available) {
  const { status, stdout } = spawnSync(compiler, ["-march=native", "-dM", "-E", "-x", "c++", "-"], { input: "", encoding: "utf8" });
  const names = Object.keys(available);
  if (status !== 0) return names;
  const best = Object.keys(nativeMacros).find((name) => name in available && stdout.includes(`#define ${nativeMacros[name]} `));
  return best === undefined ? names.slice(0, 1) : [names[0], best];
}

/** Everything that one build needs to know: compiler, flags, where objects and libraries go. */
function plan(options) {
  const cross = options.target !== undefined;
  if (cross && options.target !== "aarch64") throw new BuildError(`--target: expected aarch64, got ${options.target}`);
  const platform = cross ? "linux" : process.platform;
  const architecture = cross ? "arm64" : process.arch;
  const available = instructionSets[architecture] ?? { baseline: [] };
  const compiler = findCompiler(cross);
  const asked = options.isa ?? process.env.DANU_BUILD_ISA?.split(",") ?? Object.keys(available);
  const names = [...new Set(asked.flatMap((name) => (name === "native" && !cross ? nativeSets(compiler, available) : [name])))];
  for (const name of names) {
    if (!(name in available)) {
      throw new BuildError(`--isa: expected native or one of ${Object.keys(available).join(", ")}, got ${name}`);
    }
  }
  const sanitize = options.sanitize === undefined ? [] : [`-fsanitize=${options.sanitize}`, "-g", "-O1"];
  const extra = (process.env.CXXFLAGS ?? "").split(/\s+/).filter((flag) => flag !== "");
  const target = `${platform}-${architecture}`;
  return {
    compiler,
    flags: [...commonFlags, ...sanitize, ...extra],
    libraryLink: platform === "linux" && sanitize.length === 0 ? elfLibraryFlags : [],
    testLink: cross ? ["-static"] : [],
    // Without a bound on its addresses the emulator spends memory on every page that the device reserves.
    emulator: cross ? ["qemu-aarch64", "-R", "4G"] : [],
    sets: names.map((name) => ({ name, flags: available[name] })),
    objects: join(libraryFolder, ".objects", options.sanitize === undefined ? target : `${target}-${options.sanitize}`),
    output: join(libraryFolder, target),
  };
}

async function compileAll(build, withTests) {
  const sources = filesUnder(nativeFolder, ".cpp").filter((file) => withTests || !file.includes("/test/"));
  // The widest vectors and the largest files take longest: start with them.
  const sets = build.sets.toReversed();
  sources.sort((a, b) => statSync(b).size - statSync(a).size);
  const objectOf = (set, source) => join(build.objects, set.name, relative(nativeFolder, source)).replace(/cpp$/, "o");
  const jobs = sources.flatMap((source) =>
    sets.map((set) => {
      const flags = [...build.flags, ...set.flags];
      return () => compileSource(build.compiler, flags, source, objectOf(set, source));
    }),
  );
  await runAll(jobs);
  return (set) => sources.map((source) => objectOf(set, source));
}

async function buildLibraries(build) {
  const objectsOf = await compileAll(build, false);
  const libraries = build.sets.map((set) => ({ set, file: join(build.output, `danu_cpu_${set.name}.so`) }));
  const flags = ["-shared", ...build.flags, ...build.libraryLink];
  await runAll(libraries.map(({ set, file }) => () => link(build.compiler, flags, objectsOf(set), file)));
  return libraries.map(({ file }) => file);
}

async function runTests(build, testArguments) {
  if (build.emulator.length > 0 && !works(build.emulator[0])) {
    throw new BuildError(`${build.emulator[0]} does not run: install qemu-user to test this target here`);
  }
  const objectsOf = await compileAll(build, true);
  const programs = build.sets.map((set) => ({ set, file: join(build.objects, set.name, "danu-test") }));
  const flags = [...build.flags, ...build.testLink];
  await runAll(programs.map(({ set, file }) => () => link(build.compiler, flags, objectsOf(set), file)));
  let failed = 0;
  for (const { set, file } of programs) {
    console.log(`# ${basename(build.objects)} ${set.name}`);
    const [command, ...args] = [...build.emulator, file, ...testArguments];
    const { status, signal } = spawnSync(command, args, { stdio: "inherit" });
    // The test program leaves with 77 where the machine lacks its instruction set.
    if (status === 77) console.log(`skipped: this machine has no ${set.name}`);
    else if (status !== 0) failed++;
    if (signal !== null) console.log(`FAIL ended by ${signal}`);
  }
  if (failed > 0) throw new BuildError(`native tests failed on ${failed} instruction set(s)`);
}

async function main() {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: {
      isa: { type: "string", multiple: true },
      test: { type: "boolean", default: false },
      target: { type: "string" },
      sanitize: { type: "string" },
    },
  });
  const start = performance.now();
  const build = plan(values);
  if (values.test) {
    await runTests(build, positionals);
    return;
  }
  const libraries = await buildLibraries(build);
  const seconds = ((performance.now() - start) / 1000).toFixed(1);
  console.log(`${libraries.length} libraries in ${relative(process.cwd(), build.output) || "."} (${seconds} s)`);
}

try {
  await main();
} catch (error) {
  console.error(error instanceof BuildError ? error.message : error);
  process.exitCode = 1;
}

import { spawnSync } from "node:child_process";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

/** The folder that this program was bundled into. */
export const bundle: string = join(dirname(fileURLToPath(import.meta.url)), "..");

const programs = join(process.env["GPU_SUITE_UNPACKED"] ?? join(bundle, "unpacked"), "programs");

/** Path of a C++ program or a script of the bundle. */
export function programPath(name: string): string {
  return join(programs, name);
}

/** Names of the C++ programs, each with checks and times of its kernels. */
export function programNames(): string[] {
  return readdirSync(programs).filter((name) => !name.includes(".")).sort();
}

/** Words of a command line of this program. */
export function suiteCommand(...args: readonly string[]): string[] {
  return [process.execPath, join(bundle, "dist/main.js"), ...args];
}

/** What the bundle was made of. */
export function provenance(): unknown {
  return JSON.parse(readFileSync(join(bundle, "provenance.json"), "utf8"));
}

/** Whether this machine has PyTorch. */
export function hasPyTorch(): boolean {
  const find = "import importlib.util, sys; sys.exit(importlib.util.find_spec('torch') is None)";
  return spawnSync("python3", ["-c", find], { stdio: "ignore" }).status === 0;
}

/** Path of cuBLASLt: where DANU_CUDA_CUBLASLT says, among Python's packages, to which PyTorch brings it, or in the toolkit. */
export function findCublasLt(): string | null {
  const told = process.env["DANU_CUDA_CUBLASLT"];
  if (told !== undefined) return told;
  const { stdout } = spawnSync("python3", ["-c", "import sys; print('\\n'.join(sys.path))"], { encoding: "utf8" });
  // Wheels for CUDA 13 have a folder for all libraries, those for 12 one for each.
  const folders = (stdout ?? "").split("\n").filter((path) => path !== "").flatMap((path) => ["cu13", "cublas"].map((part) => join(path, "nvidia", part, "lib")));
  const places = [...folders, "/usr/local/cuda/lib64"].flatMap((folder) => ["libcublasLt.so.13", "libcublasLt.so.12"].map((name) => join(folder, name)));
  return places.find((path) => existsSync(path)) ?? null;
}

/** Path of NVIDIA's checker of kernels, where it is installed. */
export function findSanitizer(): string | null {
  const folders = [...(process.env["PATH"] ?? "").split(":"), "/usr/local/cuda/bin", "/opt/nvidia/compute-sanitizer"];
  return folders.map((folder) => join(folder, "compute-sanitizer")).find((path) => existsSync(path)) ?? null;
}

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

/** Path of NVIDIA's checker of kernels, where it is installed. */
export function findSanitizer(): string | null {
  const folders = [...(process.env["PATH"] ?? "").split(":"), "/usr/local/cuda/bin", "/opt/nvidia/compute-sanitizer"];
  return folders.map((folder) => join(folder, "compute-sanitizer")).find((path) => existsSync(path)) ?? null;
}

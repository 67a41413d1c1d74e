import { execFile } from "node:child_process";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { promisify } from "node:util";

/** What there is of NVIDIA GPUs. */
export interface GpuReport {
  /** One line a GPU: name, memory, driver. */
  readonly gpus: readonly string[];
  /** Path of the driver library, `libcuda.so.1`; null where it is not found. */
  readonly driver: string | null;
}

const driverFolders = [
  "/usr/lib/x86_64-linux-gnu",
  "/usr/lib/aarch64-linux-gnu",
  "/usr/lib64",
  "/usr/lib",
  "/usr/lib/wsl/lib",
  "/usr/local/nvidia/lib64",
];

/** Looks for GPUs without loading anything of them. */
export async function findGpus(env: Readonly<Record<string, string | undefined>>): Promise<GpuReport> {
  const folders = [...(env["LD_LIBRARY_PATH"] ?? "").split(":").filter((folder) => folder !== ""), ...driverFolders];
  const driver = folders.map((folder) => join(folder, "libcuda.so.1")).find((path) => existsSync(path)) ?? null;
  return { gpus: await listGpus(), driver };
}

async function listGpus(): Promise<string[]> {
  try {
    const query = ["--query-gpu=name,memory.total,driver_version", "--format=csv,noheader"];
    const { stdout } = await promisify(execFile)("nvidia-smi", query, { timeout: 10_000 });
    return stdout
      .split("\n")
      .map((line) => line.trim())
      .filter((line) => line !== "");
  } catch {
    // Not installed, or no GPU behind it: either way there is none to name.
    return [];
  }
}

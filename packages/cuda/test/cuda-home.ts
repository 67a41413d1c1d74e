import { spawnSync } from "node:child_process";
import { existsSync } from "node:fs";
import { join } from "node:path";

/** Where the CUDA toolkit is: `CUDA_HOME`, or its usual place. */
export const cudaHome: string = process.env["CUDA_HOME"] ?? "/usr/local/cuda";

/** The C++ compiler that compiles kernels against the CPU twin. */
export const compiler: string = process.env["CXX"] ?? "g++";

const missing = [
  ...(spawnSync(compiler, ["--version"], { stdio: "ignore" }).status === 0 ? [] : [compiler]),
  ...(existsSync(join(cudaHome, "include/cuda_bf16.h")) ? [] : [`CUDA headers in ${cudaHome}`]),
];
/** What the CPU twin needs and this machine lacks, as the end of a test's name; empty where nothing is missing. */
export const twinMissing: string = missing.length === 0 ? "" : `: no ${missing.join(", no ")}`;

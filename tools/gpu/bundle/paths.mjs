import { join } from "node:path";
import { fileURLToPath } from "node:url";

/** The repository. */
export const root = fileURLToPath(new URL("../../..", import.meta.url)).replace(/\/$/, "");
/** Where the CUDA toolkit is. */
export const cudaHome = process.env.CUDA_HOME ?? "/usr/local/cuda";
/** What was made before, by what it was made from. */
export const cache = join(root, "node_modules/.cache/danu/gpu-bundle");

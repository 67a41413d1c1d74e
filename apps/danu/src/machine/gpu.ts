import { capabilityText, findCublasLt, inspectCuda, versionText } from "@danu/cuda";

/** What there is of NVIDIA GPUs. */
export interface GpuReport {
  /** One line a GPU: number, name, compute capability, memory. */
  readonly gpus: readonly string[];
  /** For each GPU why the CUDA device cannot use it, or null where it can. */
  readonly problems: readonly (string | null)[];
  /** Newest CUDA version that the driver knows, as `13.0`; null where no driver was found. */
  readonly driver: string | null;
  /** The cuBLASLt that `DANU_CUDA_PRODUCTS=cublaslt` would take; null where none was found, or there is no driver. */
  readonly cublasLt: { readonly path: string; readonly version: string } | null;
  /** Why there is no GPU to be seen; null where there is one. */
  readonly error: string | null;
}

/** Asks the driver for its GPUs without opening any. */
export function findGpus(env: Readonly<Record<string, string | undefined>>): GpuReport {
  try {
    const { driverVersion, chips, problems } = inspectCuda({ env });
    const gpus = chips.map((chip) => (
      `${chip.ordinal}: ${chip.name}, compute capability ${capabilityText(chip)}, ${(chip.memoryBytes / 2 ** 30).toFixed(0)} GiB`
      + `${chip.isSlice ? ", a MIG slice" : ""}${chip.capability < 89 ? ", no fp8" : ""}`
    ));
    const error = chips.length === 0 ? "cuda: no NVIDIA GPU is visible; look at nvidia-smi and CUDA_VISIBLE_DEVICES" : null;
    return { gpus, problems, driver: versionText(driverVersion), cublasLt: findCublasLt({ env }), error };
  } catch (error) {
    return { gpus: [], problems: [], driver: null, cublasLt: null, error: (error as Error).message };
  }
}

import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

import { DanuError, DeviceError, providePrimitives, UsageError } from "@danu/tensor";

import { checkChip, chipOf, type Chip } from "./chip.ts";
import { CublasLtLibrary } from "./cublaslt/library.ts";
import { CudaDevice } from "./device.ts";
import { Driver } from "./driver.ts";
import { provideFused } from "./kernels/fused.ts";
import { primitiveKernels } from "./kernels/primitives.ts";

/** Which GPU to use. What is left out comes from the environment. */
export interface CudaOptions {
  /** Number of the GPU among the visible ones; 0 by default, or `DANU_CUDA_DEVICE`. */
  readonly ordinal?: number;
  /** Path of the driver's library; `libcuda.so.1` by default, or `DANU_CUDA_DRIVER`. */
  readonly driver?: string;
  /** Folder of the compiled kernels; the package's own by default, or `DANU_CUDA_KERNELS`. */
  readonly kernels?: string;
  /** Newest compute capability whose kernels are used, such as `"8.0"`, so that every GPU's are tested on a newer one; all
   *  by default, or `DANU_CUDA_CAPABILITY`. */
  readonly capability?: string;
  /** What computes the products that danu's kernels for Hopper do not take: its kernels for every GPU, or cuBLASLt, whose results
   *  depend on its version. `"danu"` by default, or `DANU_CUDA_PRODUCTS`. */
  readonly products?: "danu" | "cublaslt";
  /** Path of cuBLASLt; `libcublasLt.so.13` or `.12` by default, or `DANU_CUDA_CUBLASLT`. It is loaded where `products` asks for it. */
  readonly cublasLt?: string;
  /** The environment; that of the process by default. */
  readonly env?: Readonly<Record<string, string | undefined>>;
}

const ownKernels = join(dirname(fileURLToPath(import.meta.url)), "..", "lib");

/** Opens a GPU as a device.
 *  @throws DeviceError when there is no driver or GPU, or one too old, or the GPU is in use by another process alone, or there is no
 *  cuBLASLt where it is asked for  @throws UsageError for products of anything else */
export function cudaDevice(options: CudaOptions = {}): CudaDevice {
  const driver = loadDriver(options);
  const { env = process.env } = options;
  const ordinal = options.ordinal ?? Number(env["DANU_CUDA_DEVICE"] ?? 0);
  const own = chipOf(driver, ordinal);
  checkChip(driver, own);
  const newest = options.capability ?? env["DANU_CUDA_CAPABILITY"];
  const chip = newest === undefined ? own : { ...own, capability: Math.min(own.capability, Math.round(Number(newest) * 10)) };
  const folder = options.kernels ?? env["DANU_CUDA_KERNELS"] ?? ownKernels;
  const device = new CudaDevice(driver, chip, folder, {
    waitAfterLaunch: env["DANU_CUDA_WAIT"] === "1", keepsMemory: env["DANU_CUDA_KEEP"] !== "0", cublasLt: libraryOfProducts(options),
  });
  providePrimitives(device, primitiveKernels);
  provideFused(device);
  return device;
}

function loadDriver({ driver, env = process.env }: CudaOptions): Driver {
  return Driver.load(driver ?? env["DANU_CUDA_DRIVER"] ?? "libcuda.so.1");
}

/** The library that products are to be of, null for danu's own kernels. */
function libraryOfProducts(options: CudaOptions): CublasLtLibrary | null {
  const { env = process.env } = options;
  const products = options.products ?? env["DANU_CUDA_PRODUCTS"] ?? "danu";
  if (products === "danu") return null;
  if (products === "cublaslt") return loadCublasLt(options);
  throw new UsageError(`cuda: expected products of danu or cublaslt, got "${products}"; look at DANU_CUDA_PRODUCTS`, { products });
}

function loadCublasLt({ cublasLt, env = process.env }: CudaOptions): CublasLtLibrary {
  return CublasLtLibrary.load(cublasLt ?? env["DANU_CUDA_CUBLASLT"]);
}

/** The GPUs of a machine and what the driver says of them. */
export interface CudaReport {
  /** Newest CUDA version that the driver knows, 13000 for 13.0. */
  readonly driverVersion: number;
  readonly chips: readonly Chip[];
  /** For each chip why it cannot be used, or null where it can. */
  readonly problems: readonly (string | null)[];
}

/** Looks at the GPUs without opening any. @throws DeviceError when there is no driver or no GPU */
export function inspectCuda(options: CudaOptions = {}): CudaReport {
  const driver = loadDriver(options);
  const count = driver.deviceCount();
  const chips = Array.from({ length: count }, (_, ordinal) => chipOf(driver, ordinal));
  return { driverVersion: driver.version(), chips, problems: chips.map((chip) => problemOf(driver, chip, options)) };
}

function problemOf(driver: Driver, chip: Chip, options: CudaOptions): string | null {
  try {
    checkChip(driver, chip);
    libraryOfProducts(options);
    return null;
  } catch (error) {
    if (error instanceof DanuError) return error.message;
    throw error;
  }
}

/** Looks for cuBLASLt, whether `products` asks for it or not. @returns null where there is none that danu can use */
export function findCublasLt(options: CudaOptions = {}): { readonly path: string; readonly version: string } | null {
  try {
    const { path, version } = loadCublasLt(options);
    return { path, version };
  } catch (error) {
    if (error instanceof DeviceError) return null;
    throw error;
  }
}

import { DeviceError } from "@danu/tensor";
import koffi from "koffi";

import { functionsOf, handleFrom, type FunctionsOf, type NativeLibrary } from "../native.ts";

/** Functions of cuBLASLt that danu calls, by their C names without `cublasLt`. */
const prototypes = {
  Create: ["void *"],
  Destroy: ["uint64_t"],
  MatmulDescCreate: ["void *", "int", "int"],
  MatmulDescSetAttribute: ["uint64_t", "int", "void *", "uint64_t"],
  MatmulDescDestroy: ["uint64_t"],
  MatrixLayoutCreate: ["void *", "int", "uint64_t", "uint64_t", "int64_t"],
  MatrixLayoutSetAttribute: ["uint64_t", "int", "void *", "uint64_t"],
  MatrixLayoutDestroy: ["uint64_t"],
  MatmulPreferenceCreate: ["void *"],
  MatmulPreferenceSetAttribute: ["uint64_t", "int", "void *", "uint64_t"],
  MatmulPreferenceDestroy: ["uint64_t"],
  MatmulAlgoGetHeuristic: ["uint64_t", "uint64_t", "uint64_t", "uint64_t", "uint64_t", "uint64_t", "uint64_t", "int", "void *", "void *"],
  Matmul: [
    "uint64_t", "uint64_t", "void *", "uint64_t", "uint64_t", "uint64_t", "uint64_t", "void *", "uint64_t", "uint64_t", "uint64_t", "uint64_t",
    "void *", "uint64_t", "uint64_t", "uint64_t",
  ],
} as const;

/** What cuBLASLt's statuses mean. cublas_api.h, cublasStatus_t. */
const texts: Readonly<Record<number, readonly [name: string, meaning: string]>> = {
  1: ["NOT_INITIALIZED", "it has no use of this GPU and driver"],
  3: ["ALLOC_FAILED", "it found no memory"],
  7: ["INVALID_VALUE", "a refused argument"],
  8: ["ARCH_MISMATCH", "not on this GPU"],
  11: ["MAPPING_ERROR", "it has no access to the GPU's memory"],
  13: ["EXECUTION_FAILED", "its kernel could not be launched"],
  14: ["INTERNAL_ERROR", "an unknown failure"],
  15: ["NOT_SUPPORTED", "no way to do it"],
  16: ["LICENSE_ERROR", "a missing license"],
};
const REFUSALS: readonly number[] = [7, 8, 15];

/** Whether a status means that cuBLASLt does not take a product; it has enqueued nothing then. */
export function isRefusal(status: number): boolean {
  return REFUSALS.includes(status);
}

const oldestVersion = 120_000;
const otherwise = "or leave DANU_CUDA_PRODUCTS away for danu's own kernels";
const namesByDefault: readonly string[] = ["libcublasLt.so.13", "libcublasLt.so.12"];

/** cuBLASLt as it is installed, loaded once a path. */
export class CublasLtLibrary {
  readonly path: string;
  /** `13.1.1` */
  readonly version: string;
  readonly functions: FunctionsOf<typeof prototypes>;

  private constructor(path: string, native: NativeLibrary) {
    this.path = path;
    this.version = versionOf(path, native);
    this.functions = withAdvice(path, () => functionsOf(native, "cublasLt", prototypes));
  }

  /** Loads the library.  @param path where it is, or its name; the names of its newest versions by default
   *  @throws DeviceError where there is none, or none that danu can use */
  static load(path?: string): CublasLtLibrary {
    const [found, native] = open(path === undefined ? namesByDefault : [path]);
    const known = loaded.get(found);
    if (known !== undefined) return known;
    const library = new CublasLtLibrary(found, native);
    loaded.set(found, library);
    return library;
  }

  /** @throws DeviceError for any status but 0, naming the function that gave it */
  check(what: string, status: number): void {
    if (status === 0) return;
    const [name, meaning] = texts[status] ?? [String(status), "an unknown status"];
    throw new DeviceError(`cuda: ${what}: ${meaning} (CUBLAS_STATUS_${name}, cuBLASLt ${this.version}); install another version of it, ${otherwise}`, { status });
  }

  /** Calls a function that leaves a handle in its first parameter. */
  handle(what: string, call: (out: BigUint64Array) => number): number {
    return handleFrom((out) => this.check(what, call(out)));
  }
}

const loaded = new Map<string, CublasLtLibrary>();

function open(paths: readonly string[]): readonly [path: string, native: NativeLibrary] {
  let why = "";
  for (const path of paths) {
    try {
      return [path, koffi.load(path)];
    } catch (error) {
      why = (error as Error).message;
    }
  }
  throw new DeviceError(
    `cuda: found no cuBLASLt as ${paths.join(" or ")} (${why}); install it, say where it is with DANU_CUDA_CUBLASLT, ${otherwise}`, { paths },
  );
}

/** @throws DeviceError for a library that is older than what danu calls */
function versionOf(path: string, native: NativeLibrary): string {
  const version = withAdvice(path, () => Number((native.func("cublasLtGetVersion", "uint64_t", []) as () => number | bigint)()));
  if (version < oldestVersion) {
    throw new DeviceError(`cuda: expected cuBLASLt 12.0 or newer, got version number ${version} of ${path}; install a newer one, ${otherwise}`, { version });
  }
  return [version / 10_000, (version / 100) % 100, version % 100].map(Math.floor).join(".");
}

/** Looks for functions. */
function withAdvice<T>(path: string, find: () => T): T {
  try {
    return find();
  } catch (error) {
    throw new DeviceError(`cuda: ${path} is no cuBLASLt that danu can use: ${(error as Error).message}; install version 12.0 or newer, ${otherwise}`, { path });
  }
}

import { DeviceError } from "@danu/tensor";
import koffi from "koffi";

import { functionsOf, handleFrom, wordFrom, type FunctionsOf, type NativeLibrary } from "./native.ts";
import { isKernelFault, statusText } from "./status.ts";

/** Functions of the driver API that danu calls, by their C names without `cu`. */
const prototypes = {
  Init: ["uint32_t"],
  DriverGetVersion: ["void *"],
  DeviceGetCount: ["void *"],
  DeviceGet: ["void *", "int"],
  DeviceGetName: ["void *", "int", "int"],
  DeviceGetAttribute: ["void *", "int", "int"],
  DeviceTotalMem_v2: ["void *", "int"],
  DevicePrimaryCtxRetain: ["void *", "int"],
  DevicePrimaryCtxRelease_v2: ["int"],
  DevicePrimaryCtxReset_v2: ["int"],
  CtxSetCurrent: ["uint64_t"],
  MemGetInfo_v2: ["void *", "void *"],
  StreamCreate: ["void *", "uint32_t"],
  StreamDestroy_v2: ["uint64_t"],
  StreamSynchronize: ["uint64_t"],
  EventCreate: ["void *", "uint32_t"],
  EventRecord: ["uint64_t", "uint64_t"],
  EventQuery: ["uint64_t"],
  EventSynchronize: ["uint64_t"],
  EventElapsedTime: ["void *", "uint64_t", "uint64_t"],
  EventDestroy_v2: ["uint64_t"],
  DeviceGetDefaultMemPool: ["void *", "int"],
  MemPoolSetAttribute: ["uint64_t", "int", "void *"],
  MemPoolTrimTo: ["uint64_t", "uint64_t"],
  MemAllocAsync: ["void *", "uint64_t", "uint64_t"],
  MemFreeAsync: ["uint64_t", "uint64_t"],
  MemHostAlloc: ["void *", "uint64_t", "uint32_t"],
  MemFreeHost: ["uint64_t"],
  MemcpyHtoDAsync_v2: ["uint64_t", "uint64_t", "uint64_t", "uint64_t"],
  MemcpyDtoHAsync_v2: ["uint64_t", "uint64_t", "uint64_t", "uint64_t"],
  MemcpyDtoDAsync_v2: ["uint64_t", "uint64_t", "uint64_t", "uint64_t"],
  MemsetD8Async: ["uint64_t", "uint8_t", "uint64_t", "uint64_t"],
  MemsetD16Async: ["uint64_t", "uint16_t", "uint64_t", "uint64_t"],
  MemsetD32Async: ["uint64_t", "uint32_t", "uint64_t", "uint64_t"],
  LibraryLoadData: ["void *", "void *", "uint64_t", "uint64_t", "uint32_t", "uint64_t", "uint64_t", "uint32_t"],
  LibraryUnload: ["uint64_t"],
  LibraryGetKernel: ["void *", "uint64_t", "str"],
  KernelGetFunction: ["void *", "uint64_t"],
  FuncSetAttribute: ["uint64_t", "int", "int"],
  LaunchKernel: [
    "uint64_t", "uint32_t", "uint32_t", "uint32_t", "uint32_t", "uint32_t", "uint32_t", "uint32_t", "uint64_t", "uint64_t", "uint64_t",
  ],
  LaunchKernelEx: ["uint64_t", "uint64_t", "uint64_t", "uint64_t"],
  LaunchCooperativeKernel: [
    "uint64_t", "uint32_t", "uint32_t", "uint32_t", "uint32_t", "uint32_t", "uint32_t", "uint32_t", "uint64_t", "uint64_t",
  ],
  StreamBeginCapture_v2: ["uint64_t", "int"],
  StreamEndCapture: ["uint64_t", "void *"],
  GraphInstantiateWithFlags: ["void *", "uint64_t", "uint64_t"],
  GraphLaunch: ["uint64_t", "uint64_t"],
  GraphExecDestroy: ["uint64_t"],
  GraphDestroy: ["uint64_t"],
  TensorMapEncodeTiled: [
    "void *", "int", "uint32_t", "uint64_t", "void *", "void *", "void *", "void *", "int", "int", "int", "int",
  ],
} as const;

/** The driver API as functions that return a status, 0 for success. */
export type Functions = FunctionsOf<typeof prototypes>;

/** Called with the status of a kernel that failed and what told of it. */
type OnFault = (what: string, status: number) => never;

/** The driver library of this machine, loaded once a path. */
export class Driver {
  readonly functions: Functions;
  readonly #onFault: OnFault | null;

  private constructor(functions: Functions, onFault: OnFault | null = null) {
    this.functions = functions;
    this.#onFault = onFault;
  }

  /** Loads the driver and initialises it. @throws DeviceError where there is none, or none that works */
  static load(path: string): Driver {
    const known = loaded.get(path);
    if (known !== undefined) return known;
    const driver = new Driver(bind(path));
    driver.check("cuInit", driver.functions.Init(0));
    loaded.set(path, driver);
    return driver;
  }

  /** The same driver for one device, which hears of its kernels that failed: any later call may tell. */
  reportingTo(onFault: OnFault): Driver {
    return new Driver(this.functions, onFault);
  }

  /** @throws DeviceError for any status but 0, naming the function that gave it */
  check(what: string, status: number): void {
    if (status === 0) return;
    if (this.#onFault !== null && isKernelFault(status)) this.#onFault(what, status);
    throw new DeviceError(`cuda: ${what}: ${statusText(status)}`, { status });
  }

  /** Newest CUDA version that the driver knows: 13000 for 13.0. */
  version(): number {
    return this.word("cuDriverGetVersion", (out) => this.functions.DriverGetVersion(out)) | 0;
  }

  deviceCount(): number {
    return this.word("cuDeviceGetCount", (out) => this.functions.DeviceGetCount(out));
  }

  /** Calls a function that leaves a number of 32 bits in its first parameter. */
  word(what: string, call: (out: Int32Array) => number): number {
    return wordFrom((out) => this.check(what, call(out)));
  }

  /** Calls a function that leaves a handle or an address in its first parameter. */
  handle(what: string, call: (out: BigUint64Array) => number): number {
    return handleFrom((out) => this.check(what, call(out)));
  }
}

const loaded = new Map<string, Driver>();

function bind(path: string): Functions {
  let native: NativeLibrary;
  try {
    native = koffi.load(path);
  } catch (error) {
    const why = (error as Error).message;
    throw new DeviceError(`cuda: found no NVIDIA driver ${path} (${why}); install one, or use --device cpu`, { path, missing: "driver" });
  }
  try {
    return functionsOf(native, "cu", prototypes);
  } catch (error) {
    throw new DeviceError(`cuda: the NVIDIA driver is too old: ${(error as Error).message}; install one for CUDA 12.8 or newer`, { path });
  }
}

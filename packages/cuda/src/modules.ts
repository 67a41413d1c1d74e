import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";

import { DeviceError } from "@danu/tensor";

import type { Driver } from "./driver.ts";
import type { Kernel } from "./kernel.ts";

/** A kernel on one GPU, ready to be launched. */
interface Loaded {
  readonly function: number;
  /** Dynamic shared memory that it may have, in bytes. */
  sharedBytes: number;
  /** Whether multiprocessors give shared memory all they can while it runs. */
  prefersShared: boolean;
}

// CUfunction_attribute of cuda.h, and what every kernel may have unasked.
const MAX_DYNAMIC_SHARED_BYTES = 8;
const SHARED_MEMORY_CARVEOUT = 9;
const DEFAULT_SHARED_BYTES = 48 << 10;

/** The compiled kernels of one context, loaded file by file when they are first needed. */
export class Modules {
  readonly #driver: Driver;
  readonly #folder: string;
  readonly #libraries = new Map<string, number>();
  readonly #kernels = new Map<Kernel, Loaded>();

  /** @param folder where the fatbins are */
  constructor(driver: Driver, folder: string) {
    this.#driver = driver;
    this.#folder = folder;
  }

  /** Handle of a kernel that may use this much shared memory.
   *  @param prefersShared let multiprocessors divide L1 for it as for all others that start early: one of them can only start
   *  beside another where they agree  @throws DeviceError where its file is missing or does not load */
  functionOf(kernel: Kernel, sharedBytes: number, prefersShared = false): number {
    let loaded = this.#kernels.get(kernel);
    if (loaded === undefined) {
      loaded = { function: this.#load(kernel), sharedBytes: DEFAULT_SHARED_BYTES, prefersShared: false };
      this.#kernels.set(kernel, loaded);
    }
    if (sharedBytes > loaded.sharedBytes) {
      const { functions } = this.#driver;
      this.#driver.check(`${kernel.name}: ${sharedBytes} bytes of shared memory`, functions.FuncSetAttribute(loaded.function, MAX_DYNAMIC_SHARED_BYTES, sharedBytes));
      loaded.sharedBytes = sharedBytes;
    }
    if (prefersShared && !loaded.prefersShared) {
      const wholly = 100;
      this.#driver.check(`${kernel.name}: shared memory`, this.#driver.functions.FuncSetAttribute(loaded.function, SHARED_MEMORY_CARVEOUT, wholly));
      loaded.prefersShared = true;
    }
    return loaded.function;
  }

  free(): void {
    for (const library of this.#libraries.values()) this.#driver.functions.LibraryUnload(library);
    this.#libraries.clear();
    this.#kernels.clear();
  }

  #load({ file, name }: Kernel): number {
    const { functions } = this.#driver;
    const library = this.#libraries.get(file) ?? this.#loadLibrary(file);
    const kernel = this.#driver.handle(`${name} of ${file}`, (out) => functions.LibraryGetKernel(out, library, name));
    return this.#driver.handle(`${name} of ${file}`, (out) => functions.KernelGetFunction(out, kernel));
  }

  #loadLibrary(file: string): number {
    const path = join(this.#folder, `${file}.fatbin`);
    if (!existsSync(path)) {
      throw new DeviceError(`cuda: found no ${file}.fatbin in ${this.#folder}; install @danu/cuda again, or run "npm run build" in a checkout with nvcc`, { path });
    }
    const image = readFileSync(path);
    const { functions } = this.#driver;
    const library = this.#driver.handle(`${file}.fatbin`, (out) => functions.LibraryLoadData(out, image, 0, 0, 0, 0, 0, 0));
    this.#libraries.set(file, library);
    return library;
  }
}

import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

import { CudaDevice } from "../../../packages/cuda/src/device.ts";
import { CublasLtLibrary } from "../../../packages/cuda/src/cublaslt/library.ts";
import { Driver } from "../../../packages/cuda/src/driver.ts";
import { inspectCuda } from "../../../packages/cuda/src/index.ts";
import type { Standin as Instead } from "../../../packages/cuda/test/standin/control.ts";

/** Thrown where a test asks for what this GPU is not, or what no GPU does. */
export class NotOnThisGpuError extends Error {
  override readonly name = "NotOnThisGpuError";
}

const MOST_CALLS = 1_000_000;

/** The real GPU, where tests ask for the stand-in: an older chip is this one with the kernels of the older one. Nothing
 *  looks over the driver's shoulder here, so that there is never a report, and the driver does not fail when asked to. */
export class Standin implements Pick<Instead, "library" | "folder" | "cublasLt" | "reset" | "setChip" | "setDevices" | "setLazy" | "fail" | "calls" | "reports" | "clear" | "live"> {
  readonly library: string = process.env["DANU_CUDA_DRIVER"] ?? "libcuda.so.1";
  readonly folder: string = process.env["DANU_CUDA_KERNELS"] ?? join(dirname(fileURLToPath(import.meta.url)), "..", "lib");
  readonly #calls: string[] = [];
  #notesCublasLt = false;
  /** How the driver was asked for the launch that is under way. */
  #way = "LaunchKernel";

  static load(): Promise<Standin> {
    return Promise.resolve(new Standin());
  }

  private constructor() {
    this.#noteCalls("cu", Driver.load(this.library).functions);
    this.#noteLaunches();
  }

  /** The real library, whose calls are noted as well. */
  get cublasLt(): string {
    const path = process.env["DANU_CUDA_CUBLASLT"];
    if (path === undefined) throw new NotOnThisGpuError("needs cuBLASLt; DANU_CUDA_CUBLASLT says where it is");
    if (!this.#notesCublasLt) this.#noteCalls("cublasLt", CublasLtLibrary.load(path).functions);
    this.#notesCublasLt = true;
    return path;
  }

  reset(): void {
    this.clear();
    this.setChip({});
  }

  setChip({ capability = "9.0", memoryBytes }: { readonly capability?: string; readonly memoryBytes?: number }): void {
    if (memoryBytes !== undefined) throw new NotOnThisGpuError(`needs a GPU of ${memoryBytes} bytes`);
    const [chip] = inspectCuda().chips;
    const asked = Math.round(Number(capability) * 10);
    if (chip !== undefined && chip.capability < asked) throw new NotOnThisGpuError(`needs compute capability ${capability}`);
    // What a test for Hopper asks of a later GPU is the best that this one has.
    if (capability === "9.0") delete process.env["DANU_CUDA_CAPABILITY"];
    else process.env["DANU_CUDA_CAPABILITY"] = capability;
  }

  setDevices(count: number): void {
    throw new NotOnThisGpuError(`needs a machine of ${count} GPUs`);
  }

  /** Whether work is done late, which it always is here. */
  setLazy(): void {}

  fail(name: string): void {
    throw new NotOnThisGpuError(`needs a driver whose ${name} fails`);
  }

  calls(): string[] {
    return [...this.#calls];
  }

  clear(): void {
    this.#calls.length = 0;
  }

  reports(): string[] {
    return [];
  }

  live(): Record<string, number> {
    return {};
  }

  #note(call: string): void {
    if (this.#calls.length === MOST_CALLS) this.#calls.splice(0, MOST_CALLS / 2);
    this.#calls.push(call);
  }

  /** Calls of a library, by their names; of launches see below. */
  #noteCalls(prefix: string, library: object): void {
    const functions = library as Record<string, (...args: unknown[]) => number>;
    for (const [name, call] of Object.entries(functions)) {
      const isLaunch = /^Launch(Kernel|CooperativeKernel)/.test(name);
      functions[name] = (...args) => {
        if (isLaunch) this.#way = name;
        else this.#note(`${prefix}${name}`);
        return call(...args);
      };
    }
  }

  /** Launches with the kernel's name, which the driver is not told. */
  #noteLaunches(): void {
    const noted = (name: string, launch: () => void): void => {
      // A launch may have another one in front.
      const outer = this.#way;
      this.#way = "LaunchKernel";
      try {
        launch();
      } finally {
        this.#note(`cu${this.#way} ${name}`);
        this.#way = outer;
      }
    };
    const { launch } = CudaDevice.prototype;
    CudaDevice.prototype.launch = function (this: CudaDevice, ...args: Parameters<typeof launch>): void {
      noted(args[0].name, () => Reflect.apply(launch, this, args));
    } as typeof launch;
  }
}

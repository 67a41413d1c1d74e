import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

import type { Standin as Instead } from "../../../packages/cuda/test/standin/control.ts";
import { CudaDevice } from "../../../packages/cuda/src/device.ts";
import { inspectCuda } from "../../../packages/cuda/src/index.ts";

/** Thrown where a test asks for a GPU newer than the one there is. */
export class OlderGpuError extends Error {
  override readonly name = "OlderGpuError";
}

/** The real GPU, where tests ask for the stand-in: an older chip is this one with the kernels of the older one. Nothing
 *  looks over the driver's shoulder here, so that there is never a report. */
export class Standin implements Pick<Instead, "library" | "folder" | "reset" | "setChip" | "calls" | "reports" | "clear" | "live"> {
  readonly library: string = process.env["DANU_CUDA_DRIVER"] ?? "libcuda.so.1";
  readonly folder: string = process.env["DANU_CUDA_KERNELS"] ?? join(dirname(fileURLToPath(import.meta.url)), "..", "lib");
  readonly #launches: string[] = [];

  static load(): Promise<Standin> {
    return Promise.resolve(new Standin());
  }

  private constructor() {
    const launches = this.#launches;
    const { launch } = CudaDevice.prototype;
    CudaDevice.prototype.launch = function (this: CudaDevice, ...args: Parameters<typeof launch>): void {
      launches.push(`cuLaunchKernel ${args[0].name}`);
      if (launches.length > 10_000) launches.splice(0, 5000);
      Reflect.apply(launch, this, args);
    } as typeof launch;
  }

  reset(): void {
    this.clear();
    this.setChip({});
  }

  setChip({ capability = "9.0" }: { readonly capability?: string }): void {
    const [chip] = inspectCuda().chips;
    const asked = Math.round(Number(capability) * 10);
    if (chip !== undefined && chip.capability < asked) throw new OlderGpuError(`needs compute capability ${capability}`);
    // What a test for Hopper asks of a later GPU is the best that this one has.
    if (capability === "9.0") delete process.env["DANU_CUDA_CAPABILITY"];
    else process.env["DANU_CUDA_CAPABILITY"] = capability;
  }

  calls(): string[] {
    return [...this.#launches];
  }

  clear(): void {
    this.#launches.length = 0;
  }

  reports(): string[] {
    return [];
  }

  live(): Record<string, number> {
    return {};
  }
}

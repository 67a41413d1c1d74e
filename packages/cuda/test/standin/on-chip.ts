import { afterAll, beforeAll, expect } from "vitest";

import { cudaDevice, type CudaDevice, type CudaOptions } from "../../src/index.ts";
import type { Standin } from "./control.ts";

/** Opens a device on a chip of the stand-in for the tests of the `describe` around. At their end it holds no tensor, and
 *  closing it leaves nothing behind. @param take gets the device before the first test  @param options beside those of the stand-in */
export function onChip(standin: () => Standin, capability: string, take: (cuda: CudaDevice) => void, options: () => CudaOptions = () => ({})): void {
  let cuda: CudaDevice;
  beforeAll(() => {
    standin().reset();
    standin().setChip({ capability });
    cuda = cudaDevice({ driver: standin().library, kernels: standin().folder, ...options() });
    take(cuda);
  });
  afterAll(() => {
    expect(cuda.liveBuffers).toBe(0);
    cuda[Symbol.dispose]();
    expect(standin().reports()).toEqual([]);
  });
}

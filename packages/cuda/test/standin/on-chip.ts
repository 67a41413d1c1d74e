import { afterAll, beforeAll, expect } from "vitest";

import { cudaDevice, type CudaDevice } from "../../src/index.ts";
import type { Standin } from "./control.ts";

/** What does the products that danu's kernels for Hopper do not take. */
type Products = "danu" | "cublaslt";

/** Opens a device of the stand-in as it is set. */
export function openOn(standin: Standin, products: Products = "danu"): CudaDevice {
  const library = products === "danu" ? {} : { cublasLt: standin.cublasLt };
  return cudaDevice({ driver: standin.library, kernels: standin.folder, products, ...library });
}

/** Opens a device on a chip of the stand-in for the tests of the `describe` around. At their end it holds no tensor, and
 *  closing it leaves nothing behind. @param take gets the device before the first test */
export function onChip(standin: () => Standin, capability: string, take: (cuda: CudaDevice) => void, products: Products = "danu"): void {
  let cuda: CudaDevice;
  beforeAll(() => {
    standin().reset();
    standin().setChip({ capability });
    cuda = openOn(standin(), products);
    take(cuda);
  });
  afterAll(() => {
    expect(cuda.liveBuffers).toBe(0);
    cuda[Symbol.dispose]();
    expect(standin().reports()).toEqual([]);
  });
}

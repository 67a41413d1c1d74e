import { beforeAll, beforeEach, describe, expect, test } from "vitest";

import { twinMissing } from "../../../packages/cuda/test/cuda-home.ts";
import { Standin } from "../../../packages/cuda/test/standin/control.ts";
import { danu } from "./support.ts";

describe.skipIf(twinMissing)(`danu doctor where there is a GPU${twinMissing}`, () => {
  let standin: Standin;
  beforeAll(async () => {
    standin = await Standin.load([]);
  }, 600_000);
  beforeEach(() => standin.reset());

  const doctor = async (env: Readonly<Record<string, string>>): Promise<string> => {
    const { code, stdout } = await danu(["doctor"], { env: { DANU_CUDA_DRIVER: standin.library, ...env } });
    expect(code).toBe(0);
    return stdout;
  };

  test("tells which cuBLASLt there is", async () => {
    const found = await doctor({ DANU_CUDA_CUBLASLT: standin.cublasLt });
    expect(found).toMatch(/^gpu      0: NVIDIA H100 stand-in, compute capability 9\.0, 2 GiB, driver for CUDA 13\.0$/m);
    expect(found).toContain(`\ncublaslt 13.0.0 as ${standin.cublasLt}, for DANU_CUDA_PRODUCTS=cublaslt\n`);
    expect(await doctor({ DANU_CUDA_CUBLASLT: "/nowhere.so" })).toContain("\ncublaslt none, and none is needed\n");
  });

  test("tells that the GPU cannot be used with a cuBLASLt that is not there, or products of who knows what", async () => {
    const missing = await doctor({ DANU_CUDA_PRODUCTS: "cublaslt", DANU_CUDA_CUBLASLT: "/nowhere.so" });
    expect(missing).toMatch(/^would use {2}cpu/m);
    expect(missing).toMatch(/^why not {4}cuda: found no cuBLASLt as \/nowhere\.so .*install it/m);
    expect(await doctor({ DANU_CUDA_PRODUCTS: "cutlass" })).toMatch(/^why not {4}cuda: expected products of danu or cublaslt, got "cutlass"/m);
  });
});

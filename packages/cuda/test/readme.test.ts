import * as tensor from "@danu/tensor";
import { runExample } from "@danu/testing";
import { describe, expect, test } from "vitest";

import * as subject from "../src/index.ts";
import { twinMissing } from "./cuda-home.ts";
import { Standin } from "./standin/control.ts";

describe.skipIf(twinMissing)(`the README${twinMissing}`, () => {
  test("its example prints what it claims", async () => {
    const { library: driver, folder: kernels } = await Standin.load(["cast", "elementwise", "few-rows", "matmul", "movement", "reduce"]);
    const opened: subject.CudaDevice[] = [];
    const cudaDevice = (): subject.CudaDevice => {
      const cuda = subject.cudaDevice({ driver, kernels });
      opened.push(cuda);
      return cuda;
    };
    const [[loss, gradient]] = await runExample(new URL("../README.md", import.meta.url), {
      "@danu/cuda": { ...subject, cudaDevice }, "@danu/tensor": tensor,
    }) as [[number, Float32Array]];
    expect(loss).toBe(48.25);
    expect([...gradient]).toEqual([-5, -7, -9, 28, 36.5, 45]);
    for (const cuda of opened) cuda[Symbol.dispose]();
  }, 600_000);
});

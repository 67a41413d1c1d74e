import { add, linear, scope, tensor, UsageError, type Values } from "@danu/tensor";
import { hostTensor, upload } from "@danu/testing";
import { afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";

import { Description, type Multiplication } from "../src/cublaslt/description.ts";
import { WORKSPACE_BYTES } from "../src/cublaslt/cublaslt.ts";
import { CublasLtLibrary } from "../src/cublaslt/library.ts";
import { cudaDevice, type CudaDevice, type CudaOptions } from "../src/index.ts";
import { defineKernel } from "../src/kernel.ts";
import { multiplyFp8 } from "../src/kernels/fp8/fp8-product.ts";
import { multiply } from "../src/kernels/products/matmul.ts";
import type { Product } from "../src/kernels/products/product.ts";
import { twinMissing } from "./cuda-home.ts";
import { productsIn } from "./product-cases.ts";
import { Standin } from "./standin/control.ts";

const squares = defineKernel("gradient-norm", "gradient_norm_squares", "p([168 pli]i)");
const [OUT_OF_MEMORY, NOT_INITIALIZED, INVALID_VALUE, EXECUTION_FAILED, NOT_SUPPORTED] = [2, 1, 7, 13, 15];

describe.skipIf(twinMissing)(`cuBLASLt on a stand-in${twinMissing}`, () => {
  let standin: Standin;
  beforeAll(async () => {
    standin = await Standin.load(["elementwise", "few-rows", "gradient-norm", "matmul"]);
  }, 600_000);
  beforeEach(() => standin.reset());

  const open = (options: CudaOptions = {}): CudaDevice => cudaDevice({
    driver: standin.library, kernels: standin.folder, products: "cublaslt", cublasLt: standin.cublasLt, env: {}, ...options,
  });
  const count = (name: string): number => standin.calls().filter((call) => call.split(" ")[0] === name).length;

  /** A layer `[M, 64] · [N, 64]ᵀ`. */
  async function layer(cuda: CudaDevice, M = 8, N = 16): Promise<Values> {
    using y = scope(() => linear(upload(cuda, hostTensor("bf16", [M, 64], 1)), upload(cuda, hostTensor("bf16", [N, 64], 2))));
    return await y.read();
  }

  describe("the choice", () => {
    test("nothing is loaded without it", async () => {
      using cuda = open({ products: "danu", cublasLt: "/nowhere/libcublasLt.so" });
      await layer(cuda);
      expect(standin.calls().filter((call) => call.startsWith("cublasLt"))).toEqual([]);
    });

    test("may come from the environment", async () => {
      const { library: driver, folder: kernels } = standin;
      using cuda = cudaDevice({ driver, kernels, env: { DANU_CUDA_PRODUCTS: "cublaslt", DANU_CUDA_CUBLASLT: standin.cublasLt } });
      await layer(cuda);
      expect(productsIn(standin.calls())).toEqual(["cublasLtMatmul"]);
    });

    test("of anything else", () => {
      const { library: driver, folder: kernels } = standin;
      const choose = (): CudaDevice => cudaDevice({ driver, kernels, env: { DANU_CUDA_PRODUCTS: "cutlass" } });
      expect(choose).toThrow('cuda: expected products of danu or cublaslt, got "cutlass"; look at DANU_CUDA_PRODUCTS');
      expect(choose).toThrow(UsageError);
    });
  });

  describe("no library that can be used", () => {
    afterEach(() => expect(standin.live()).toEqual({}));

    test("none where it should be", () => {
      expect(() => open({ cublasLt: "/nowhere/libcublasLt.so.13" })).toThrow(
        /^cuda: found no cuBLASLt as \/nowhere\/libcublasLt\.so\.13 \(.*\); install it, say where it is with DANU_CUDA_CUBLASLT, or leave DANU_CUDA_PRODUCTS away for danu's own kernels$/s,
      );
    });

    test("a library that lacks functions", () => {
      expect(() => open({ cublasLt: "libm.so.6" })).toThrow(/^cuda: libm\.so\.6 is no cuBLASLt that danu can use: .*cublasLtGetVersion.*; install version 12\.0 or newer, or leave/s);
    });

    test("one that is too old", () => {
      const old = standin.fresh();
      old.setCublasLtVersion(11_901);
      expect(() => open({ cublasLt: old.cublasLt })).toThrow(/^cuda: expected cuBLASLt 12\.0 or newer, got version number 11901 of .*; install a newer one, or leave/);
    });

    test("one that has no use of the GPU", () => {
      standin.fail("cublasLtCreate", NOT_INITIALIZED);
      expect(() => open()).toThrow(
        "cuda: cublasLtCreate: it has no use of this GPU and driver (CUBLAS_STATUS_NOT_INITIALIZED, cuBLASLt 13.0.0); install another version of it, or leave",
      );
    });

    test("no memory for its workspace", () => {
      standin.setChip({ memoryBytes: 16 << 20 });
      expect(() => open()).toThrow("cuda: no GPU memory for 33.6 MB");
    });
  });

  describe("plans", () => {
    test("are made once for each shape, and go with the device", async () => {
      {
        using cuda = open();
        const first = await layer(cuda);
        expect(await layer(cuda)).toEqual(first);
        await layer(cuda, 4);
        await layer(cuda, 8, 32);
        await layer(cuda, 4);
        expect([count("cublasLtMatmulAlgoGetHeuristic"), count("cublasLtMatmul")]).toEqual([3, 5]);
        expect(standin.live()).toMatchObject({ "cuBLASLt handle": 1, "cuBLASLt operation": 3, "cuBLASLt layout": 9, "cuBLASLt preference": 3 });
      }
      expect([standin.live(), standin.reports()]).toEqual([{}, []]);
    });

    test("are of products of one kind alone", () => {
      using cuda = open();
      const [y, a, b] = [cuda.allocate(4096), cuda.allocate(4096), cuda.allocate(4096)];
      const base: Product = { y, a, b, residual: 0, dtype: "bf16", result: "bf16", M: 16, N: 16, K: 16, layout: "nn", count: 1, steps: [0, 0] };
      const kinds: Product[] = [
        base, { ...base, layout: "nt" }, { ...base, layout: "tn" }, { ...base, layout: "tt" }, { ...base, rowStepA: 24 }, { ...base, M: 8 }, { ...base, N: 8 }, { ...base, K: 8 },
        { ...base, dtype: "f16", result: "f16" }, { ...base, result: "f32" }, { ...base, count: 2, steps: [1, 1] }, { ...base, count: 2, steps: [1, 0] },
        { ...base, count: 2, steps: [0, 1] }, { ...base, count: 3, steps: [1, 1] },
      ];
      for (const product of [...kinds, ...kinds]) multiply(cuda, product);
      expect([count("cublasLtMatmulAlgoGetHeuristic"), count("cublasLtMatmul")]).toEqual([kinds.length, 2 * kinds.length]);
      expect(standin.reports()).toEqual([]);
    });

    test("are of their own on every GPU", async () => {
      standin.setDevices(2);
      standin.setChip({}, 1);
      using first = open();
      using second = open({ ordinal: 1 });
      expect(await layer(second)).toEqual(await layer(first));
      expect(await layer(first)).toEqual(await layer(second));
      expect([count("cublasLtMatmulAlgoGetHeuristic"), count("cublasLtMatmul")]).toEqual([2, 4]);
      expect(standin.reports()).toEqual([]);
    });

    test.each([
      ["cublasLtMatmulAlgoGetHeuristic", NOT_SUPPORTED, 0], ["cublasLtMatmulAlgoGetHeuristic", INVALID_VALUE, 0], ["cublasLtMatmul", NOT_SUPPORTED, 1],
    ])("that cuBLASLt has not are danu's: %s gives %d", async (name, status, tried) => {
      using own = open({ products: "danu" });
      const expected = await layer(own);
      standin.clear();
      using cuda = open();
      standin.fail(name, status);
      expect([await layer(cuda), await layer(cuda)]).toEqual([expected, expected]);
      expect(count("cublasLtMatmulAlgoGetHeuristic")).toBe(1);
      expect(productsIn(standin.calls()).filter((by) => by !== "cublasLtMatmul")).toEqual(["few_rows_linear_bf16", "few_rows_linear_bf16"]);
      expect(count("cublasLtMatmul")).toBe(tried);
      expect(standin.live()).not.toHaveProperty("cuBLASLt layout");
    });

    test("of matrices that are aligned to less are others", () => {
      using cuda = open();
      const [y, a, b] = [cuda.allocate(4096), cuda.allocate(4096), cuda.allocate(4096)];
      for (const offset of [0, 16, 48]) {
        multiply(cuda, { y, a: a + offset, b, residual: 0, dtype: "bf16", result: "bf16", M: 16, N: 16, K: 16, layout: "nn", count: 1, steps: [0, 0] });
      }
      expect([count("cublasLtMatmulAlgoGetHeuristic"), count("cublasLtMatmul")]).toEqual([2, 3]);
      expect(standin.reports()).toEqual([]);
    });
  });

  test.each([["forward", "fast"], ["inputGradient", "exact"], ["weightGradient", "exact"]] as const)("sums of fp8, %s: %s", (use, sums) => {
    using cuda = open();
    const [y, a, b, scaleA, scaleB] = [cuda.allocate(1024), cuda.allocate(256), cuda.allocate(256), cuda.allocate(16), cuda.allocate(16)];
    multiplyFp8(cuda, use, { y, a, b, scaleA, scaleB, M: 16, N: 16, K: 16 });
    expect(standin.calls().find((call) => call.startsWith("cublasLtMatmul "))).toMatch(new RegExp(`^cublasLtMatmul t n ${sums} 0 `));
  });

  describe("a product that fails", () => {
    test("names the op, and the device goes on", async () => {
      using cuda = open();
      standin.fail("cublasLtMatmul", EXECUTION_FAILED);
      await expect(layer(cuda)).rejects.toThrow(
        "cuda: cublasLtMatmul of linear: its kernel could not be launched (CUBLAS_STATUS_EXECUTION_FAILED, cuBLASLt 13.0.0); install another version of it, or leave",
      );
      await layer(cuda);
    });

    test("because of a kernel before it names that", () => {
      const cuda = open();
      const [y, a, b, few] = [cuda.allocate(16), cuda.allocate(16), cuda.allocate(16), cuda.allocate(16)];
      cuda.launch(squares, { grid: [1], block: 256 }, cuda.allocate(8), [[few, 1 << 20, 0]], 1);
      const product = { y, a, b, residual: 0, dtype: "f32", result: "f32", M: 2, N: 2, K: 2, layout: "nn", count: 1, steps: [0, 0] } as const;
      expect(() => multiply(cuda, product)).toThrow(/^cuda:0: a kernel read or wrote memory that is not its own .* gradient_norm_squares; DANU_CUDA_WAIT=1 names it$/);
      expect(productsIn(standin.calls())).toEqual(["cublasLtMatmul"]);
      cuda[Symbol.dispose]();
      expect(standin.live()).toEqual({});
    });

    test("is waited for and named where every kernel is", async () => {
      using cuda = open({ env: { DANU_CUDA_WAIT: "1", DANU_CUDA_KEEP: "0" } });
      await layer(cuda);
      const [x, weight] = [tensor(cuda, [1, 2], [1, 2]), tensor(cuda, [1, 2], [1, 2])];
      cuda.free(weight.handle);
      expect(() => linear(x, weight)).toThrow(/^cuda:0: a kernel read or wrote memory that is not its own \(CUDA error 700\) in cublasLtMatmul of linear$/);
    });
  });

  test("every call that may be refused ends in an error of danu or in danu's own kernels, and nothing is left", async () => {
    const session = async (): Promise<void> => {
      using cuda = open();
      using y = scope(() => add(tensor(cuda, [1]), 1));
      await y.read();
      await layer(cuda);
    };
    await session();
    const counts = new Map<string, number>();
    const points = standin.calls().map((call) => {
      const name = call.split(" ")[0]!;
      counts.set(name, (counts.get(name) ?? 0) + 1);
      return { name, nth: counts.get(name)! };
    }).filter(({ name }) => name.startsWith("cublasLt") && !name.endsWith("Destroy"));
    expect(points.length).toBeGreaterThan(15);
    for (const { name, nth } of points) {
      standin.reset();
      standin.fail(name, OUT_OF_MEMORY, nth);
      await expect(session(), `${name}, call ${nth}`).rejects.toThrow(/^cuda: cublasLt\w+.*: an unknown status/);
      expect(standin.live(), `${name}, call ${nth}`).toEqual({});
      await session();
    }
  });
});

// Without a GPU the real library makes descriptors and nothing else.
const real = process.env["DANU_CUDA_CUBLASLT"];

describe.skipIf(real === undefined)(`the real cuBLASLt${real === undefined ? ": DANU_CUDA_CUBLASLT does not say where it is" : ""}`, () => {
  const matrix = { type: "bf16", rows: 64, columns: 32, step: 72, stride: 72 * 32 } as const;
  const operands = { A: 4096, B: 4112, C: 0, D: 8192, scaleA: 0, scaleB: 0 };
  const base: Multiplication = { A: matrix, B: matrix, D: matrix, transposeA: false, transposeB: true, count: 1, fastAccumulation: false, operands };

  test.each<[name: string, product: Multiplication]>([
    ["one product", base],
    ["a batch", { ...base, transposeA: true, count: 3 }],
    ["fp8 with factors", { ...base, A: { ...matrix, type: "f8e4m3" }, B: { ...matrix, type: "f8e5m2" }, fastAccumulation: true, operands: { ...operands, scaleA: 256, scaleB: 512 } }],
    ["other types", { ...base, A: { ...matrix, type: "f16" }, B: { ...matrix, type: "f16" }, D: { ...matrix, type: "f32" } }],
  ])("takes what danu says of %s", (_, product) => {
    using description = new Description(CublasLtLibrary.load(real), product, WORKSPACE_BYTES);
    expect(new Set([description.operation, description.A, description.B, description.D, description.preference]).size).toBe(5);
  });

  test("refuses attributes that it does not have, or of other sizes", () => {
    const library = CublasLtLibrary.load(real);
    using description = new Description(library, base, WORKSPACE_BYTES);
    const set = (code: number, bytes: number): number => library.functions.MatmulDescSetAttribute(description.operation, code, new Uint8Array(8), bytes);
    expect([set(3, 4), set(3, 8), set(25, 4), set(999, 4)]).toEqual([0, INVALID_VALUE, INVALID_VALUE, INVALID_VALUE]);
  });
});

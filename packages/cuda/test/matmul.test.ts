import { linear, linearInputGradOp, matmul, run, scope, type DType } from "@danu/tensor";
import { hostTensor, relativeError, upload } from "@danu/testing";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";

import { cudaDevice, type CudaDevice } from "../src/index.ts";
import { multiply } from "../src/kernels/products/matmul.ts";
import { twinMissing } from "./cuda-home.ts";
import { expectExact, productsIn, testProducts, type Call } from "./product-cases.ts";
import { Standin } from "./standin/control.ts";
import { onChip } from "./standin/on-chip.ts";

describe.skipIf(twinMissing)(`products${twinMissing}`, () => {
  let standin: Standin;
  beforeAll(async () => {
    standin = await Standin.load(["cast", "elementwise", "few-rows", "gemm", "matmul"]);
  }, 600_000);

  describe("by the kernels of every GPU", () => {
    let cuda: CudaDevice;
    onChip(() => standin, "8.0", (opened) => (cuda = opened));

    testProducts(() => cuda);
  });

  describe("large products of bf16 on Hopper", () => {
    let cuda: CudaDevice;
    beforeAll(() => {
      standin.reset();
      cuda = cudaDevice({ driver: standin.library, kernels: standin.folder });
    });
    beforeEach(() => standin.clear());
    afterAll(() => {
      expect(cuda.liveBuffers).toBe(0);
      cuda[Symbol.dispose]();
      expect(standin.reports()).toEqual([]);
    });

    const kernels = (): string[] => productsIn(standin.calls());
    // 33 pairs of tiles, the fewest that these kernels take; the last tiles hang over in every direction.
    const [M, N, K] = [40, 8200, 40];

    test.each<[kernel: string, type: DType, call: Call]>([
      ["gemm_bf16_forward", "bf16", (own, dtype) => matmul(own(1, M, K), own(2, N, K), { transposeB: true, dtype })],
      ["gemm_bf16_forward", "bf16", (own, dtype) => matmul(own(1, 5, 8, K), own(2, N, K), { transposeB: true, dtype })],
      ["gemm_bf16_forward_f32", "f32", (own, dtype) => matmul(own(1, M, K), own(2, N, K), { transposeB: true, dtype })],
      ["gemm_bf16_forward_residual", "bf16", (own) => linear(own(1, M, K), own(2, N, K), own(3, M, N))],
      ["gemm_bf16_input_gradient", "bf16", (own, dtype) => matmul(own(1, M, K), own(2, K, N), { dtype })],
      ["gemm_bf16_input_gradient_residual", "bf16", (own) => run(linearInputGradOp, [own(1, M, K), own(2, K, N), own(3, M, N)], null)[0]],
      ["gemm_bf16_weight_gradient", "f32", (own, dtype) => matmul(own(1, K, M), own(2, K, N), { transposeA: true, dtype })],
    ])("%s, %s", async (kernel, type, call) => {
      await expectExact(cuda, "bf16", type, call);
      expect(kernels()).toEqual([kernel]);
    }, 120_000);

    test("gradients of weights are added where they are", async () => {
      using a = upload(cuda, hostTensor("bf16", [K, M], 1));
      using b = upload(cuda, hostTensor("bf16", [K, N], 2));
      using y = scope(() => matmul(a, b, { transposeA: true, dtype: "f32" }));
      const once = Float32Array.from(await y.read(), (value) => 2 * value);
      multiply(cuda, {
        y: y.handle, a: a.handle, b: b.handle, residual: y.handle, dtype: "bf16", result: "f32", M, N, K, layout: "tn", count: 1, steps: [0, 0],
      });
      expect(relativeError(await y.read(), once)).toBeLessThanOrEqual(1e-7);
      expect(kernels()).toEqual(["gemm_bf16_weight_gradient", "gemm_bf16_weight_gradient_add"]);
    }, 120_000);

    test("rows that the copy engine cannot read take the way of every GPU", async () => {
      await expectExact(cuda, "bf16", "bf16", (own, dtype) => matmul(own(1, M, 36), own(2, N, 36), { transposeB: true, dtype }));
      expect(kernels()).toEqual(["matmul_bf16_nt"]);
    }, 120_000);
  });
});

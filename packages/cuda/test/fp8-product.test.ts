import { beforeAll, describe, expect, test } from "vitest";

import type { CudaDevice } from "../src/index.ts";
import { multiplyFp8, multiplyFp8Group, type Fp8Product, type Fp8Use } from "../src/kernels/fp8/fp8-product.ts";
import { twinMissing } from "./cuda-home.ts";
import { expectRight, type Sample } from "./fp8-product-cases.ts";
import { productsIn } from "./product-cases.ts";
import { Standin } from "./standin/control.ts";
import { onChip } from "./standin/on-chip.ts";

describe.skipIf(twinMissing)(`products of parts of fp8 matrices${twinMissing}`, () => {
  let standin: Standin;
  beforeAll(async () => {
    standin = await Standin.load(["elementwise", "few-rows", "gemm", "matmul"]);
  }, 600_000);

  /** @returns the kernels that were launched */
  async function kernelsOf(cuda: CudaDevice, use: Fp8Use, samples: readonly Sample[], enqueue: (products: readonly Fp8Product[]) => void): Promise<string[]> {
    standin.clear();
    await expectRight(cuda, use, samples, enqueue);
    return productsIn(standin.calls());
  }

  describe.each(["8.0", "8.9", "9.0"])("by the kernels of every GPU, on compute capability %s", (capability) => {
    let cuda: CudaDevice;
    onChip(() => standin, capability, (opened) => (cuda = opened));

    test.each<[use: Fp8Use, sample: Sample, kernel: string]>([
      ["forward", { M: 24, N: 140, K: 48, margin: 5 }, "matmul_e4m3_nt"],
      ["inputGradient", { M: 130, N: 70, K: 37, margin: 3 }, "matmul_e5m2_nt"],
      ["weightGradient", { M: 130, N: 70, K: 160, margin: 16 }, "matmul_e5m2_nt"],
    ])("%s, %j", async (use, sample, kernel) => {
      expect(await kernelsOf(cuda, use, [sample], ([product]) => multiplyFp8(cuda, use, product!))).toEqual([kernel]);
    }, 120_000);

    test("gradients of weights", async () => {
      const samples = [{ M: 8, N: 12, K: 144, margin: 0 }, { M: 0, N: 12, K: 144, margin: 0 }, { M: 40, N: 30, K: 0, margin: 16 }];
      const kernels = await kernelsOf(cuda, "weightGradient", samples, (products) => multiplyFp8Group(cuda, products));
      expect(kernels).toEqual(["matmul_e5m2_nt", "matmul_e5m2_nt"]);
    }, 120_000);
  });

  describe("large products on Hopper", () => {
    let cuda: CudaDevice;
    onChip(() => standin, "9.0", (opened) => (cuda = opened));

    // 33 pairs of tiles, the fewest that these kernels take.
    const large = { M: 24, N: 8208, K: 32, margin: 16 };
    test.each<[use: Fp8Use, sample: Sample, kernel: string]>([
      ["forward", large, "gemm_fp8_forward"],
      ["inputGradient", large, "gemm_fp8_input_gradient"],
      ["weightGradient", large, "gemm_fp8_weight_gradient"],
      ["forward", { ...large, margin: 5 }, "matmul_e4m3_nt"],
    ])("%s, %j", async (use, sample, kernel) => {
      expect(await kernelsOf(cuda, use, [sample], ([product]) => multiplyFp8(cuda, use, product!))).toEqual([kernel]);
    }, 120_000);

    // 34 pairs together.
    const [wide, half, small] = [{ M: 24, N: 4112, K: 32, margin: 0 }, { M: 16, N: 4000, K: 32, margin: 16 }, { M: 8, N: 12, K: 32, margin: 0 }];
    const [grouped, alone] = ["gemm_fp8_weight_gradients", "matmul_e5m2_nt"];
    test.each<[name: string, samples: readonly Sample[], kernels: readonly string[]]>([
      ["three products", [small, half, wide], [grouped]],
      ["two products and one without rows", [wide, { ...small, M: 0 }, { ...wide, margin: 16 }], [grouped]],
      ["four products", [small, wide, half, wide], [grouped, alone]],
      ["one product", [large], ["gemm_fp8_weight_gradient"]],
      ["too small together", [small, half], [alone, alone]],
      ["rows that the copy engine cannot read", [wide, { ...half, margin: 3 }, small], [alone, alone, alone]],
      ["no tokens", [wide, half, small].map((sample) => ({ ...sample, K: 0 })), [alone, alone, alone]],
    ])("gradients of weights, %s", async (_, samples, kernels) => {
      expect(await kernelsOf(cuda, "weightGradient", samples, (products) => multiplyFp8Group(cuda, products))).toEqual(kernels);
    }, 120_000);
  });
});

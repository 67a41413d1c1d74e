import { cast, full, keep, matmul, referenceDevice, scope, slice, tensor, type Device, type DType, type Tensor, type Values } from "@danu/tensor";
import { hostTensor, relativeError, upload } from "@danu/testing";
import { beforeAll, describe, expect, test } from "vitest";

import type { CudaDevice } from "../src/index.ts";
import { multiplyFp8, multiplyFp8Group, type Fp8Product, type Fp8Use } from "../src/kernels/fp8/fp8-product.ts";
import { twinMissing } from "./cuda-home.ts";
import { Standin } from "./standin/control.ts";
import { onChip } from "./standin/on-chip.ts";

/** A product of parts of wider matrices. */
interface Sample {
  readonly M: number;
  readonly N: number;
  readonly K: number;
  /** Columns of every matrix before and after its part. */
  readonly margin: number;
}

const scales = [0.5, 0.25] as const;
/** What results hold beside what products write. */
const untouched = 7;

/** The operands of a sample, the same on every device. */
function operandsOf(device: Device, use: Fp8Use, { M, N, K, margin }: Sample, seed: number): readonly [a: Tensor, b: Tensor] {
  const operand = (dtype: DType, rows: number, offset: number): Tensor => upload(device, hostTensor(dtype, [rows, K + 2 * margin], seed + offset));
  return [operand(use === "forward" ? "f8e4m3" : "f8e5m2", M, 0), operand("f8e4m3", N, 1)];
}

/** What `enqueue` makes of the samples, and the columns before and after that. */
async function resultsOf(cuda: CudaDevice, use: Fp8Use, samples: readonly Sample[], enqueue: (products: readonly Fp8Product[]) => void): Promise<Values[]> {
  const wide = scope(() => {
    const [scaleA, scaleB] = scales.map((scale) => tensor(cuda, [scale], []));
    const results: Tensor[] = [];
    enqueue(samples.map((sample, i) => {
      const { M, N, K, margin } = sample;
      const [a, b] = operandsOf(cuda, use, sample, i);
      const y = full(cuda, [M, N + 2 * margin], untouched, use === "weightGradient" ? "f32" : "bf16");
      results.push(keep(y));
      const steps = margin === 0 ? {} : { stepA: K + 2 * margin, stepB: K + 2 * margin, stepY: N + 2 * margin };
      const first = margin * (use === "weightGradient" ? 4 : 2);
      return { y: y.handle + first, a: a.handle + margin, b: b.handle + margin, scaleA: scaleA!.handle, scaleB: scaleB!.handle, M, N, K, ...steps };
    }));
    return results;
  });
  const values: Values[] = [];
  for (const y of wide) {
    values.push(await y.read());
    y.dispose();
  }
  return values;
}

async function expectedOf(use: Fp8Use, sample: Sample, seed: number): Promise<Values> {
  const { M, N, K, margin } = sample;
  const wide = Array.from({ length: M * (N + 2 * margin) }, () => untouched);
  using product = scope(() => {
    const [a, b] = operandsOf(referenceDevice(), use, sample, seed).map((x) => cast(slice(x, 1, margin, margin + K), "f32"));
    return matmul(a!, b!, { transposeB: true });
  });
  (await product.read()).forEach((value, i) => {
    wide[Math.floor(i / N) * (N + 2 * margin) + margin + (i % N)] = value * scales[0] * scales[1];
  });
  return Float32Array.from(wide);
}

describe.skipIf(twinMissing)(`products of parts of fp8 matrices${twinMissing}`, () => {
  let standin: Standin;
  beforeAll(async () => {
    standin = await Standin.load(["elementwise", "gemm", "matmul"]);
  }, 600_000);

  /** Asserts that results are right and nothing beside them is written. @returns the kernels that were launched */
  async function expectRight(cuda: CudaDevice, use: Fp8Use, samples: readonly Sample[], enqueue: (products: readonly Fp8Product[]) => void): Promise<string[]> {
    standin.clear();
    const results = await resultsOf(cuda, use, samples, enqueue);
    for (const [i, sample] of samples.entries()) {
      const [actual, expected] = [results[i]!, await expectedOf(use, sample, i)];
      expect(relativeError(actual, expected), `product ${i}`).toBeLessThan(use === "weightGradient" ? 2e-6 : 2 ** -8);
      expect(actual.filter((_, at) => isBeside(sample, at)).every((value) => value === untouched)).toBe(true);
    }
    return standin.calls().flatMap((call) => /^cuLaunchKernel\b.*\b((?:gemm|matmul)_\w+)/.exec(call)?.[1] ?? []);
  }

  describe.each(["8.0", "8.9", "9.0"])("by the kernels of every GPU, on compute capability %s", (capability) => {
    let cuda: CudaDevice;
    onChip(() => standin, capability, (opened) => (cuda = opened));

    test.each<[use: Fp8Use, sample: Sample, kernel: string]>([
      ["forward", { M: 24, N: 140, K: 48, margin: 5 }, "matmul_e4m3_nt"],
      ["inputGradient", { M: 130, N: 70, K: 37, margin: 3 }, "matmul_e5m2_nt"],
      ["weightGradient", { M: 130, N: 70, K: 160, margin: 16 }, "matmul_e5m2_nt"],
    ])("%s, %j", async (use, sample, kernel) => {
      expect(await expectRight(cuda, use, [sample], ([product]) => multiplyFp8(cuda, use, product!))).toEqual([kernel]);
    }, 120_000);

    test("gradients of weights", async () => {
      const samples = [{ M: 8, N: 12, K: 144, margin: 0 }, { M: 0, N: 12, K: 144, margin: 0 }, { M: 40, N: 30, K: 0, margin: 16 }];
      const kernels = await expectRight(cuda, "weightGradient", samples, (products) => multiplyFp8Group(cuda, products));
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
      expect(await expectRight(cuda, use, [sample], ([product]) => multiplyFp8(cuda, use, product!))).toEqual([kernel]);
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
      expect(await expectRight(cuda, "weightGradient", samples, (products) => multiplyFp8Group(cuda, products))).toEqual(kernels);
    }, 120_000);
  });
});

function isBeside({ N, margin }: Sample, at: number): boolean {
  const column = at % (N + 2 * margin);
  return column < margin || column >= margin + N;
}

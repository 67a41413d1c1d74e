import { linear, matmul, referenceDevice, scope, type Device, type DType, type Tensor, type Values } from "@danu/tensor";
import { hostTensor, relativeError, upload } from "@danu/testing";
import fc from "fast-check";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";

import { cudaDevice, type CudaDevice } from "../src/index.ts";
import { multiply } from "../src/kernels/products/matmul.ts";
import { twinMissing } from "./cuda-home.ts";
import { Standin } from "./standin/control.ts";
import { onChip } from "./standin/on-chip.ts";

/** Makes a result, of a type if need be, from tensors that are the same on every device. */
type Call = (own: (seed: number, ...shape: number[]) => Tensor, type: DType) => Tensor;

interface Result {
  readonly bytes: Uint8Array;
  readonly values: Values;
}

/** @param kept type of the tensors, whose values are those of `dtype` */
async function resultOf(device: Device, dtype: DType, kept: DType, type: DType, call: Call): Promise<Result> {
  using y = scope(() => call((seed, ...shape) => upload(device, hostTensor(dtype, shape, seed), kept), type));
  const bytes = await y.bytes();
  return { bytes, values: device.decode(y.dtype, bytes) };
}

/** Asserts that a product errs at most twice as much as the reference device with the same types. @returns its bytes */
async function expectExact(cuda: CudaDevice, dtype: DType, type: DType, call: Call): Promise<Uint8Array> {
  const got = await resultOf(cuda, dtype, dtype, type, call);
  const reference = await resultOf(referenceDevice(), dtype, dtype, type, call);
  const exact = await resultOf(referenceDevice({ precision: "f64" }), dtype, "f32", "f32", call);
  expect(relativeError(got.values, exact.values)).toBeLessThanOrEqual(2 * relativeError(reference.values, exact.values) + 2e-6);
  return got.bytes;
}
async function expectExactAndRepeated(cuda: CudaDevice, dtype: DType, type: DType, call: Call): Promise<void> {
  expect(await expectExact(cuda, dtype, type, call)).toEqual((await resultOf(cuda, dtype, dtype, type, call)).bytes);
}

const types = ["f32", "bf16", "f16", "f8e4m3", "f8e5m2"] as const;
const sizes = fc.constantFrom(0, 1, 2, 3, 8, 15, 16, 17, 40, 129, 136);
const depths = fc.constantFrom(0, 1, 7, 8, 33, 64, 250, 1200);
const seeds = fc.integer({ min: 0, max: 1e6 });
/** Leading axes of both operands. */
const batches = fc.constantFrom<[number[], number[]]>([[], []], [[3], [3]], [[2, 3], []], [[1], [2]], [[2, 1], [1, 3]], [[0], [0]]);
const products = fc.record({
  M: sizes, N: sizes, K: depths, batch: batches, transposeA: fc.boolean(), transposeB: fc.boolean(),
  dtype: fc.constantFrom<DType | null>(null, null, "f32", "bf16", "f8e4m3"), seed: seeds,
});
const layers = fc.record({ rows: fc.constantFrom([0], [1], [5], [2, 8], [3, 43]), C: depths, O: sizes, residual: fc.boolean(), seed: seeds });

describe.skipIf(twinMissing)(`products${twinMissing}`, () => {
  let standin: Standin;
  beforeAll(async () => {
    standin = await Standin.load(["cast", "elementwise", "gemm", "matmul"]);
  }, 600_000);

  describe("by the kernels of every GPU", () => {
    let cuda: CudaDevice;
    onChip(() => standin, "8.0", (opened) => (cuda = opened));

    test.each(types)("matmul of %s", async (type) => {
      await fc.assert(fc.asyncProperty(products, async ({ M, N, K, batch: [left, right], transposeA, transposeB, dtype, seed }) => {
        await expectExactAndRepeated(cuda, type, dtype ?? type, (own, result) => matmul(
          own(seed, ...left, ...(transposeA ? [K, M] : [M, K])), own(seed + 1, ...right, ...(transposeB ? [N, K] : [K, N])),
          { transposeA, transposeB, dtype: result },
        ));
      }), { numRuns: 16, seed: 4 });
    }, 300_000);

    test.each(types)("linear of %s", async (type) => {
      await fc.assert(fc.asyncProperty(layers, async ({ rows, C, O, residual, seed }) => {
        await expectExactAndRepeated(cuda, type, type, (own) => linear(own(seed, ...rows, C), own(seed + 1, O, C), residual ? own(seed + 2, ...rows, O) : null));
      }), { numRuns: 10, seed: 4 });
    }, 300_000);
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

    const kernels = (): string[] => standin.calls().flatMap((call) => /^cuLaunchKernel\b.*\b((?:gemm|matmul)_\w+)/.exec(call)?.[1] ?? []);
    // 33 pairs of tiles, the fewest that these kernels take; the last tiles hang over in every direction.
    const [M, N, K] = [40, 8200, 40];

    test.each<[kernel: string, type: DType, call: Call]>([
      ["gemm_bf16_forward", "bf16", (own, dtype) => matmul(own(1, M, K), own(2, N, K), { transposeB: true, dtype })],
      ["gemm_bf16_forward", "bf16", (own, dtype) => matmul(own(1, 5, 8, K), own(2, N, K), { transposeB: true, dtype })],
      ["gemm_bf16_forward_f32", "f32", (own, dtype) => matmul(own(1, M, K), own(2, N, K), { transposeB: true, dtype })],
      ["gemm_bf16_forward_residual", "bf16", (own) => linear(own(1, M, K), own(2, N, K), own(3, M, N))],
      ["gemm_bf16_input_gradient", "bf16", (own, dtype) => matmul(own(1, M, K), own(2, K, N), { dtype })],
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

import { linear, matmul, referenceDevice, scope, type Device, type DType, type Tensor, type Values } from "@danu/tensor";
import { hostTensor, relativeError, upload } from "@danu/testing";
import fc from "fast-check";
import { expect, test } from "vitest";

import type { CudaDevice } from "../src/index.ts";

/** Makes a result, of a type if need be, from tensors that are the same on every device. */
export type Call = (own: (seed: number, ...shape: number[]) => Tensor, type: DType) => Tensor;

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
export async function expectExact(cuda: CudaDevice, dtype: DType, type: DType, call: Call): Promise<Uint8Array> {
  const got = await resultOf(cuda, dtype, dtype, type, call);
  const reference = await resultOf(referenceDevice(), dtype, dtype, type, call);
  const exact = await resultOf(referenceDevice({ precision: "f64" }), dtype, "f32", "f32", call);
  expect(relativeError(got.values, exact.values)).toBeLessThanOrEqual(2 * relativeError(reference.values, exact.values) + 2e-6);
  return got.bytes;
}

/** What did products, in order: kernels of danu and calls of cuBLASLt. @param calls of the stand-in */
export function productsIn(calls: readonly string[]): string[] {
  return calls.flatMap((call) => /^cuLaunchKernel\b.*\b((?:gemm|matmul|few_rows)_\w+)|^(cublasLtMatmul)\b/.exec(call)?.slice(1).find(Boolean) ?? []);
}

async function expectExactAndRepeated(cuda: CudaDevice, dtype: DType, type: DType, call: Call): Promise<void> {
  const [bytes, again] = [await expectExact(cuda, dtype, type, call), (await resultOf(cuda, dtype, dtype, type, call)).bytes];
  expect(Buffer.compare(again, bytes), "has the same bits a second time").toBe(0);
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

/** Tests of products of any shape, type and order, with residuals, on a device. */
export function testProducts(cuda: () => CudaDevice): void {
  test.each(types)("matmul of %s", async (type) => {
    await fc.assert(fc.asyncProperty(products, async ({ M, N, K, batch: [left, right], transposeA, transposeB, dtype, seed }) => {
      await expectExactAndRepeated(cuda(), type, dtype ?? type, (own, result) => matmul(
        own(seed, ...left, ...(transposeA ? [K, M] : [M, K])), own(seed + 1, ...right, ...(transposeB ? [N, K] : [K, N])),
        { transposeA, transposeB, dtype: result },
      ));
    }), { numRuns: 16, seed: 4 });
  }, 300_000);

  test.each(types)("linear of %s", async (type) => {
    await fc.assert(fc.asyncProperty(layers, async ({ rows, C, O, residual, seed }) => {
      await expectExactAndRepeated(cuda(), type, type, (own) => linear(own(seed, ...rows, C), own(seed + 1, O, C), residual ? own(seed + 2, ...rows, O) : null));
    }), { numRuns: 10, seed: 4 });
  }, 300_000);
}

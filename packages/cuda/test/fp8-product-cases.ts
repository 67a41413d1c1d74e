import { cast, full, keep, matmul, referenceDevice, scope, slice, tensor, type Device, type DType, type Tensor, type Values } from "@danu/tensor";
import { hostTensor, relativeError, upload } from "@danu/testing";
import { expect } from "vitest";

import type { CudaDevice } from "../src/index.ts";
import type { Fp8Product, Fp8Use } from "../src/kernels/fp8/fp8-product.ts";

/** A product of parts of wider matrices. */
export interface Sample {
  readonly M: number;
  readonly N: number;
  readonly K: number;
  /** Columns of every matrix before and after its part. */
  readonly margin: number;
}

const scales = [0.5, 0.25] as const;
/** What sums of fp8 lose, relative to the largest. Tensor cores cut products and the sums that they add them to 13 binary places
 *  below the largest of them, and add 128 so (kernels/twin/tensor-core-sums.h). Most products have no more places, and a cut takes
 *  half of the last one on average: 160 products lost up to 1.8 of it, 32 on an H200 up to 0.8. */
const lost = 4 * 2 ** -13;
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

function isBeside({ N, margin }: Sample, at: number): boolean {
  const column = at % (N + 2 * margin);
  return column < margin || column >= margin + N;
}

/** Asserts that what `enqueue` makes of the samples is right and nothing beside it is written.
 *  @param error most that a product may be off by, relative */
export async function expectRight(
  cuda: CudaDevice, use: Fp8Use, samples: readonly Sample[], enqueue: (products: readonly Fp8Product[]) => void,
  error: number = lost + (use === "weightGradient" ? 0 : 2 ** -8),
): Promise<void> {
  const results = await resultsOf(cuda, use, samples, enqueue);
  for (const [i, sample] of samples.entries()) {
    const [actual, expected] = [results[i]!, await expectedOf(use, sample, i)];
    expect(relativeError(actual, expected), `product ${i}`).toBeLessThan(error);
    expect(actual.filter((_, at) => isBeside(sample, at)).every((value) => value === untouched)).toBe(true);
  }
}

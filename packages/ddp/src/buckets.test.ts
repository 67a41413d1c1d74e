import { disposeTree, dtypes, referenceDevice, tensor, zeros, type DType } from "@danu/tensor";
import fc from "fast-check";
import { expect, test } from "vitest";

import { bucketsOf, readBucket, writeBucket } from "./buckets.ts";
import type { Shared } from "./collective.ts";

const kinds = fc.constantFrom<DType | "f64">(...dtypes, "f64");

test("every element is in one bucket, in order; a bucket has one type and at most its bytes; what is read is written back", async () => {
  const device = referenceDevice();
  const values = fc.array(fc.tuple(kinds, fc.nat(12)), { maxLength: 8 });
  await fc.assert(fc.asyncProperty(values, fc.integer({ min: 1, max: 60 }), async (list, bytes) => {
    const count = (n: number): number[] => Array.from({ length: n }, (_, i) => i + 1);
    const from: Shared[] = list.map(([kind, n]) => (kind === "f64" ? Float64Array.from(count(n)) : tensor(device, count(n), [n], kind)));
    const into: Shared[] = list.map(([kind, n]) => (kind === "f64" ? new Float64Array(n) : zeros(device, [n], kind)));
    const buckets = bucketsOf(from, bytes);
    const order = buckets.flat().flatMap(({ index, start, end }) => Array.from({ length: end - start }, (_, i) => [index, start + i]));
    expect(order).toEqual(list.flatMap(([, n], index) => Array.from({ length: n }, (_, i) => [index, i])));
    for (const bucket of buckets) {
      const types = new Set(bucket.map(({ index }) => list[index]![0]));
      expect(types.size).toBe(1);
      const [type] = [...types];
      const size = type === "f64" ? 8 : device.bytesPerElement(type!);
      const elements = bucket.reduce((n, { start, end }) => n + end - start, 0);
      expect(elements).toBeLessThanOrEqual(Math.max(1, bytes / size));
      writeBucket(into, bucket, await readBucket(from, bucket));
    }
    const numbers = (all: Shared[]): Promise<ArrayLike<number>[]> => Promise.all(all.map(async (x) => (
      x instanceof Float64Array ? x : x.read()
    )));
    expect(await numbers(into)).toEqual(await numbers(from));
    disposeTree([from, into]);
    expect(device.liveBuffers).toBe(0);
  }));
});

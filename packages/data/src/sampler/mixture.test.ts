import fc from "fast-check";
import { expect, test } from "vitest";
import { mixture } from "./mixture.ts";

const weights = fc.array(fc.double({ min: 1e-9, max: 1e6, noNaN: true }), { minLength: 1, maxLength: 8 });

test("numbers the samples of every source without gap or repeat", () => {
  fc.assert(
    fc.property(weights, fc.nat(), (list, seed) => {
      const sourceOf = mixture(list, seed);
      const seen = list.map(() => new Set<number>());
      for (let sample = 0; sample < 3 * 4096; sample++) {
        const { source, index } = sourceOf(sample);
        seen[source]!.add(index);
      }
      const counts = seen.map((indices) => indices.size);
      expect(counts.reduce((a, b) => a + b)).toBe(3 * 4096);
      seen.forEach((indices, source) => expect(Math.max(...indices)).toBe(counts[source]! - 1));
    }),
    { numRuns: 20 },
  );
});

test("keeps to the weights, in every block and about everywhere in it", () => {
  const sourceOf = mixture([5, 3, 2], 1);
  const counts = (from: number, to: number): number[] => {
    const list = [0, 0, 0];
    for (let sample = from; sample < to; sample++) list[sourceOf(sample).source]!++;
    return list;
  };
  expect(counts(4096, 8192)).toEqual([2048, 1229, 819]);
  counts(1000, 2000).forEach((count, i) => expect(Math.abs(count - [500, 300, 200][i]!)).toBeLessThan(60));
});

test("is a function of seed, stage and sample, whatever was asked before", () => {
  const samples = fc.array(fc.nat(100_000), { minLength: 1 });
  fc.assert(
    fc.property(samples, fc.nat(), fc.nat(5), (list, seed, stage) => {
      const one = mixture([1, 2], seed, stage);
      list.forEach((sample) => expect(one(sample)).toEqual(mixture([1, 2], seed, stage)(sample)));
    }),
    { numRuns: 20 },
  );
  const first = (seed: number, stage: number): string =>
    Array.from({ length: 64 }, (_, i) => mixture([1, 1], seed, stage)(i).source).join("");
  expect(new Set([first(0, 0), first(1, 0), first(0, 1)]).size).toBe(3);
});

test.each([[[]], [[1, 0]], [[1, -1]], [[1, NaN]], [[1, Infinity]]])("refuses weights %j", (list) => {
  expect(() => mixture(list, 0)).toThrow(expect.objectContaining({ code: "bad-option" }) as Error);
});

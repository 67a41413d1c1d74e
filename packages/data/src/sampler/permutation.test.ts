import fc from "fast-check";
import { expect, test } from "vitest";
import { keyOf } from "../keyed-hash.ts";
import { permute } from "./permutation.ts";

function shuffle(size: number, key: Uint32Array): number[] {
  return Array.from({ length: size }, (_, i) => permute(i, size, key));
}

test("is a bijection for any size and key", () => {
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 3000 }), fc.uint32Array({ minLength: 8, maxLength: 8 }), (size, key) => {
      expect(shuffle(size, key).sort((a, b) => a - b)).toEqual(Array.from({ length: size }, (_, i) => i));
    }),
  );
  for (let size = 1; size <= 70; size++) expect(new Set(shuffle(size, keyOf("size", size))).size).toBe(size);
});

test("stays inside sizes past 2³²", () => {
  const size = 2 ** 45 + 12345;
  const key = keyOf("large");
  fc.assert(
    fc.property(fc.maxSafeInteger(), fc.maxSafeInteger(), (a, b) => {
      const [i, j] = [Math.abs(a) % size, Math.abs(b) % size];
      const place = permute(i, size, key);
      expect(Number.isInteger(place) && place >= 0 && place < size).toBe(true);
      expect(place === permute(j, size, key)).toBe(i === j);
    }),
  );
});

test.each([5, 7, 16, 100])("puts any index of %i at every place about equally often", (size) => {
  const keys = 4000;
  for (const index of [0, 1, size - 1]) {
    const counts = Array.from({ length: size }, () => 0);
    for (let k = 0; k < keys; k++) counts[permute(index, size, keyOf("even", k))]!++;
    const expected = keys / size;
    const chiSquared = counts.reduce((sum, count) => sum + (count - expected) ** 2 / expected, 0);
    // Mean size - 1 and deviation √(2 (size - 1)); the keys are fixed, so this does not flicker.
    expect(chiSquared).toBeLessThan(size - 1 + 5 * Math.sqrt(2 * size));
  }
});

test("has about one fixed point and scattered neighbours, as a random shuffle", () => {
  const size = 1000;
  let fixed = 0;
  let adjacent = 0;
  for (let k = 0; k < 200; k++) {
    const places = shuffle(size, keyOf("scatter", k));
    places.forEach((place, i) => {
      if (place === i) fixed++;
      if (Math.abs(place - (places[i + 1] ?? Infinity)) === 1) adjacent++;
    });
  }
  expect(fixed / 200).toBeGreaterThan(0.7);
  expect(fixed / 200).toBeLessThan(1.3);
  expect(adjacent / 200).toBeGreaterThan(1.5);
  expect(adjacent / 200).toBeLessThan(2.5);
});

test("keys differ by every part, and by where parts divide", () => {
  const keys = [keyOf("a", 1, 2), keyOf("a", 2, 1), keyOf("a", 12), keyOf("b", 1, 2)].map(String);
  expect(new Set(keys).size).toBe(4);
});

import fc from "fast-check";
import { expect, test } from "vitest";
import { validationChooser } from "./validation-split.ts";

test("of every 1/fraction documents one is held out", () => {
  fc.assert(
    fc.property(fc.nat(), fc.integer({ min: 1, max: 999 }), fc.nat(3000), (seed, parts, documents) => {
      const chosen = validationChooser(seed, parts / 1000);
      const count = Array.from({ length: documents }, (_, i) => chosen(i)).filter(Boolean).length;
      expect(Math.abs(count - (documents * parts) / 1000)).toBeLessThanOrEqual(1);
    }),
  );
  expect(Array.from({ length: 1000 }, (_, i) => validationChooser(1, 0)(i))).not.toContain(true);
});

test("the choice within a stretch is even and changes with the seed", () => {
  const places = new Map<number, number>();
  for (let seed = 0; seed < 1000; seed++) {
    const chosen = validationChooser(seed, 0.1);
    const place = Array.from({ length: 10 }, (_, i) => i).findIndex((i) => chosen(50 + i));
    places.set(place, (places.get(place) ?? 0) + 1);
  }
  expect(places.size).toBe(10);
  for (const count of places.values()) expect(count).toBeGreaterThan(60);
});

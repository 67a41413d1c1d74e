import fc from "fast-check";
import { expect, test } from "vitest";

import { expOfNegative } from "./exp.ts";
import { weigh } from "./weights.ts";

test("the weight of a token is that of its score alone, in bf16 or not, whatever was weighed before", () => {
  const score = fc.tuple(fc.float({ min: -30, max: 30, noNaN: true }), fc.boolean()).map(([value, narrow]) => (
    narrow ? new Float32Array(Uint32Array.of(new Uint32Array(Float32Array.of(value).buffer)[0]! & 0xffff0000).buffer)[0]! : value
  ));
  fc.assert(fc.property(fc.array(score, { minLength: 1, maxLength: 60 }), fc.double({ min: 0.1, max: 5, noNaN: true }), (scores, temperature) => {
    const top = Math.max(...scores);
    const expected = Float32Array.from([...scores, ...scores]);
    const { of, total } = weigh(expected, top, temperature);
    let sum = 0;
    expected.forEach((value, id) => {
      const weight = expOfNegative((value - top) / temperature);
      expect(of[id]).toBe(weight);
      sum += weight;
    });
    expect([of.length, total]).toEqual([expected.length, sum]);
  }), { numRuns: 300 });
});

import fc from "fast-check";
import { expect, it } from "vitest";
import { PairMerges } from "./pair-merges.ts";

it("finds every pair, of one listed twice the last, and no other", () => {
  const symbol = fc.oneof(fc.nat(5), fc.nat(2 ** 20));
  fc.assert(
    fc.property(fc.array(fc.tuple(symbol, symbol), { maxLength: 200 }), symbol, symbol, (pairs, left, right) => {
      const column = (index: 0 | 1): Int32Array => Int32Array.from(pairs, (pair) => pair[index]);
      const merges = new PairMerges(column(0), column(1), column(0));
      const expected = new Map(pairs.map(([a, b], merge) => [`${a} ${b}`, merge]));
      for (const [a, b] of [...pairs, [left, right], [-1, right], [left, -1], [-1, -2]] as const) {
        const merge = merges.find(a, b);
        expect(merge).toBe(expected.get(`${a} ${b}`) ?? -1);
        if (merge >= 0) expect([merges.priorities[merge], merges.products[merge]]).toEqual([merge, a]);
      }
    }),
  );
});

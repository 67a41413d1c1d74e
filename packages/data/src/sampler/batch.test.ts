import fc from "fast-check";
import { expect, test } from "vitest";
import { counting, streamOf } from "../../test/support.ts";
import { ignoredTarget, readBatch } from "./batch.ts";

const documents = fc.array(fc.array(fc.nat(999), { minLength: 1, maxLength: 9 }), { minLength: 2, maxLength: 20 });

test("agrees with the naive reading, token by token", () => {
  fc.assert(
    fc.property(documents, fc.integer({ min: 1, max: 12 }), fc.integer({ min: 1, max: 7 }), (docs, T, perShard) => {
      const flat = docs.flatMap((ids, document) => ids.map((id) => ({ id, document })));
      fc.pre(flat.length > T);
      const stream = streamOf(docs, perShard);
      const starts = Array.from({ length: flat.length - T }, (_, start) => start);
      const batch = readBatch(starts.map((start) => ({ stream, start })), T, true);
      let tokens = 0;
      for (const [row, start] of starts.entries()) {
        for (let t = 0; t < T; t++) {
          const here = flat[start + t]!;
          const next = flat[start + t + 1]!;
          const first = Math.max(start, flat.findIndex(({ document }) => document === here.document)) - start;
          const same = here.document === next.document;
          tokens += same ? 1 : 0;
          const at = row * T + t;
          expect([batch.ids[at], batch.targets[at], batch.documentStart[at], batch.positions[at]]).toEqual([
            here.id,
            same ? next.id : ignoredTarget,
            first,
            t - first,
          ]);
        }
      }
      expect(batch.tokens).toBe(tokens);
      stream.close();
    }),
    { numRuns: 60 },
  );
});

test("without masks a row is one text", () => {
  const stream = streamOf([[1, 2], [3, 4, 5]]);
  const batch = readBatch([{ stream, start: 0 }, { stream, start: 1 }], 3, false);
  expect(batch).toEqual({
    rows: 2,
    sequenceLength: 3,
    ids: Int32Array.of(1, 2, 3, 2, 3, 4),
    targets: Int32Array.of(2, 3, 4, 3, 4, 5),
    documentStart: new Int32Array(6),
    positions: Int32Array.of(0, 1, 2, 0, 1, 2),
    tokens: 6,
  });
});

test("no rows make an empty batch", () => {
  expect(readBatch([], 8, true)).toMatchObject({ rows: 0, tokens: 0, ids: new Int32Array(0) });
});

test("a document of the whole stream starts every row at 0", () => {
  const stream = streamOf([counting(100)]);
  const batch = readBatch([{ stream, start: 50 }], 16, true);
  expect(batch.documentStart).toEqual(new Int32Array(16));
  expect(batch.tokens).toBe(16);
});

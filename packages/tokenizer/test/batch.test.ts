import { existsSync } from "node:fs";
import fc from "fast-check";
import { afterAll, describe, expect, it } from "vitest";
import { BatchEncoder, TokenizerError } from "../src/index.ts";
import { byteNames, modelBytes, special } from "./support.ts";

// Threads run the built module.
const isBuilt = existsSync(new URL("../dist/worker.js", import.meta.url));

const pieces = [..."abc\u2581", "ab", "bc", "\u2581a"].map((spelling, i) => ({ spelling, score: -i }));
const model = modelBytes([...special, ...byteNames, ...pieces], { byteFallback: true });
const text = fc.string({ unit: fc.constantFrom("a", "b", "c", " ", "\u00e9", "\u{1F600}"), maxLength: 30 });

describe.each([0, 2].map((threads) => ({ threads })))("$threads threads", ({ threads }) => {
  describe.skipIf(threads > 0 && !isBuilt)("(threads need npm run build)", () => {
    const encoder = new BatchEncoder(model, { threads });
    afterAll(async () => await encoder.close());

    it("gives the ids of every text, in order", async () => {
      await encoder.encode(["ab ".repeat(1e5), "ab ".repeat(1e5)]);
      await fc.assert(
        fc.asyncProperty(fc.array(text, { maxLength: 20 }), fc.boolean(), async (texts, addBos) => {
          const { ids, starts } = await encoder.encode(texts, { addBos });
          expect(ids).toBeInstanceOf(Uint16Array);
          expect(starts.length).toBe(texts.length + 1);
          expect(starts.at(-1)).toBe(ids.length);
          texts.forEach((one, i) => {
            expect([...ids.subarray(starts[i], starts[i + 1])]).toEqual([...encoder.tokenizer.encode(one, { addBos })]);
          });
        }),
        { numRuns: 50 },
      );
    });

    it("spreads much text, and answers batches that overlap", async () => {
      const long = Array.from({ length: 40 }, (_, i) => "abc ".repeat(20_000 + i));
      const batches = await Promise.all([encoder.encode(long), encoder.encode(["a"]), encoder.encode([])]);
      expect(batches[0]!.ids.length).toBe(long.reduce((sum, one) => sum + encoder.tokenizer.encode(one).length, 0));
      expect(batches[1]!.ids.length).toBe(encoder.tokenizer.encode("a").length);
      expect(batches[2]!.ids.length).toBe(0);
    });

    it("passes errors on, and goes on after them", async () => {
      const failing = encoder.encode(["abc"], { maxLength: 2 });
      await expect(failing).rejects.toThrow(TokenizerError);
      await expect(failing).rejects.toMatchObject({ code: "text-too-long", data: { length: 3 } });
      expect((await encoder.encode(["abc"])).ids.length).toBeGreaterThan(0);
    });
  });
});

it("ids of a vocabulary beyond 65,536 are 32 bits wide", async () => {
  const many = Array.from({ length: 65_600 }, (_, i) => ({ spelling: `x${i}`, score: -i }));
  await using encoder = new BatchEncoder(modelBytes([...special, ...many]), { threads: 0 });
  expect((await encoder.encode(["x1"])).ids).toBeInstanceOf(Uint32Array);
});

it("a closed encoder says so", async () => {
  const encoder = new BatchEncoder(model, { threads: 0 });
  await encoder.close();
  await expect(encoder.encode(["a"])).rejects.toMatchObject({ code: "closed" });
});

it("refuses a number of threads that is none", () => {
  for (const threads of [-1, 0.5, NaN, 1e9]) expect(() => new BatchEncoder(model, { threads })).toThrow(/0 to 1024/);
});

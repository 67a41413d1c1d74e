import fc from "fast-check";
import { expect, it } from "vitest";
import { loadTokenizer, saveTokenizer, type Tokenizer } from "../src/index.ts";
import { ifSupported, reload } from "./save-support.ts";
import { byteNames, modelBytes, type Piece, special } from "./support.ts";

const letters = ["a", "b", "\u00e9", "\u2581"];
const spelling = fc.array(fc.constantFrom(...letters), { minLength: 2, maxLength: 6 }).map((parts) => parts.join(""));

/** Pieces of all letters and of random strings of them, in random order of scores, some of them equal. */
const anyModel = fc
  .record({
    spellings: fc.uniqueArray(spelling, { minLength: 1, maxLength: 25 }),
    scores: fc.array(fc.integer({ min: -40, max: 0 }), { minLength: 25, maxLength: 25 }),
    areDistinct: fc.boolean(),
    byteFallback: fc.boolean(),
    addDummyPrefix: fc.boolean(),
    removeExtraWhitespaces: fc.boolean(),
    legacy: fc.boolean(),
  })
  .map(({ spellings, scores, areDistinct, legacy, ...options }): Tokenizer => {
    const made = spellings.map((text, i): Piece => ({ spelling: text, score: areDistinct ? -i : scores[i]! }));
    const single = letters.map((text): Piece => ({ spelling: text, score: -100 }));
    const pieces = [...special, ...(options.byteFallback ? byteNames : []), ...single, ...made];
    return loadTokenizer({ model: modelBytes(pieces, options), config: Buffer.from(JSON.stringify({ legacy })) });
  });
const fragments = ["a", "b", "\u00e9", " ", "\u2581", "aa", "ab", "  ", "x", "\n", "<s>", "</s>", "\u{1F600}"];
const anyText = fc.array(fc.constantFrom(...fragments), { maxLength: 40 }).map((parts) => parts.join(""));

it("a tokenizer saved and read again encodes as before, through either format and both in turn", () => {
  let saved = 0;
  let asked = 0;
  fc.assert(
    fc.property(anyModel, fc.array(anyText, { minLength: 1, maxLength: 8 }), (tokenizer, texts) => {
      const json = ifSupported(() => reload(saveTokenizer(tokenizer, "huggingface")));
      const copies = [reload(saveTokenizer(tokenizer, "sentencepiece"))];
      if (json !== undefined) copies.push(json);
      const back = json && ifSupported(() => reload(saveTokenizer(json, "sentencepiece")));
      if (back !== undefined) copies.push(back);
      asked++;
      saved += copies.length;
      for (const text of texts) {
        for (const parseSpecial of [false, true]) {
          const ids = [...tokenizer.encode(text, { parseSpecial })];
          for (const copy of copies) expect([...copy.encode(text, { parseSpecial })]).toEqual(ids);
        }
      }
    }),
    { numRuns: 400 },
  );
  // One copy always, a second and a third where the formats can say the same.
  expect(saved).toBeGreaterThan(asked * 1.8);
});

import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { byteNames, hasData, modelBytes, type Piece, readData, special } from "../../test/support.ts";
import { parseModel } from "../sentencepiece/model.ts";
import { Vocabulary } from "../sentencepiece/vocabulary.ts";
import { BpeEncoder } from "./encoder.ts";
import { IdBuffer } from "./id-buffer.ts";
import { LongMerger } from "./merge-long.ts";
import { mergeShort } from "./merge-short.ts";

const letter = fc.constantFrom("a", "b", "\u2581", "\u00e9");
const spelling = fc.array(letter, { minLength: 1, maxLength: 5 }).map((x) => x.join(""));
const vocabulary = fc.uniqueArray(fc.record({ spelling, score: fc.integer({ min: -4, max: 4 }) }), {
  selector: (piece) => piece.spelling,
  minLength: 4,
  maxLength: 25,
});
const text = fc.array(fc.constantFrom("a", "b", " ", "\u00e9", "x"), { maxLength: 60 }).map((x) => x.join(""));

function build(pieces: readonly Piece[]): Vocabulary {
  return new Vocabulary(parseModel(modelBytes([...special, ...byteNames, ...pieces], { byteFallback: true })));
}

function run(encode: BpeEncoder["encode"], bytes: Uint8Array): number[] {
  const out = new IdBuffer();
  encode(bytes, 0, bytes.length, out);
  return [...out.values.subarray(0, out.length)];
}

/** The definition: of all neighbours that join to a piece, the best, and the leftmost of equals. */
function byDefinition(pieces: readonly Piece[], input: string): string[] {
  const scores = new Map(pieces.map((piece) => [piece.spelling.replaceAll("\u2581", " "), piece.score ?? 0]));
  const symbols = [...input];
  for (;;) {
    let best = -Infinity;
    let at = -1;
    for (let i = 0; i + 1 < symbols.length; i++) {
      const score = scores.get(symbols[i]! + symbols[i + 1]!) ?? -Infinity;
      if (score > best) [best, at] = [score, i];
    }
    if (at < 0) return symbols;
    symbols.splice(at, 2, symbols[at]! + symbols[at + 1]!);
  }
}

describe("encoder", () => {
  it("short merge, long merge and cut text with memory all follow the definition", () => {
    fc.assert(
      fc.property(vocabulary, fc.array(text, { maxLength: 4 }), (pieces, texts) => {
        const model = build(pieces);
        const encoder = new BpeEncoder(model);
        const long = new LongMerger(model.merges);
        for (const input of [...texts, ...texts]) {
          const bytes = new TextEncoder().encode(input);
          const symbols = { short: new Int32Array(100), long: new Int32Array(100), starts: new Int32Array(100) };
          const count = model.split(bytes, 0, bytes.length, symbols.short, symbols.starts);
          symbols.long.set(symbols.short);
          const left = mergeShort(model.merges, symbols.short, symbols.starts.slice(), count);
          expect(long.merge(symbols.long, symbols.starts, count)).toBe(left);
          expect(symbols.long.subarray(0, left)).toEqual(symbols.short.subarray(0, left));
          expect(left).toBe(byDefinition(pieces, input).length);
          const uncut = run(encoder.encodeUncut.bind(encoder), bytes);
          expect(run(encoder.encode.bind(encoder), bytes)).toEqual(uncut);
        }
      }),
      { numRuns: 400 },
    );
  });

  it("runs of one letter beyond the length of short merges", () => {
    const pieces = ["a", "aa", "aaa", "aaaa"].map((name, i) => ({ spelling: name, score: -(i % 2) }));
    const model = build(pieces);
    const encoder = new BpeEncoder(model);
    for (const length of [63, 64, 65, 127, 1000]) {
      const ids = run(encoder.encode.bind(encoder), new Uint8Array(length).fill(0x61));
      const lengths = ids.map((id) => model.table.offsets[id + 1]! - model.table.offsets[id]!);
      expect(lengths).toEqual(byDefinition(pieces, "a".repeat(length)).map((symbol) => symbol.length));
    }
  });

  it.skipIf(!hasData)("Llama 2: long merge equals cut text (needs the shared data folder)", () => {
    const model = new Vocabulary(parseModel(readData("tokenizers/llama2/tokenizer.model")));
    const encoder = new BpeEncoder(model);
    const word = fc.constantFrom("the", " ", "   ", "a", "ing", "1", ".", "qx", "\n", "\u4e00", "Zz");
    const words = fc.array(word, { minLength: 200, maxLength: 900 });
    fc.assert(
      fc.property(words, (parts) => {
        const bytes = new TextEncoder().encode(parts.join(""));
        expect(run(encoder.encode.bind(encoder), bytes)).toEqual(run(encoder.encodeUncut.bind(encoder), bytes));
      }),
      { numRuns: 60 },
    );
  });
});

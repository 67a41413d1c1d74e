import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { loadTokenizer, TokenizerError } from "../src/index.ts";
import { byteNames, field, hasData, modelBytes, readData, special, varint } from "./support.ts";

const letters = [..."abc\u2581"].map((spelling, i) => ({ spelling, score: -i }));
const fallback = { byteFallback: true };
const good = modelBytes([...special, ...byteNames, ...letters], { byteFallback: true });

/** Loads bytes that may be broken. @returns the error's code, or "loaded"; any other error fails the test */
function outcome(bytes: Uint8Array): string {
  try {
    const tokenizer = loadTokenizer(bytes);
    tokenizer.decode(tokenizer.encode("abc  caba \u00e9\u{1F600}"));
    return "loaded";
  } catch (error) {
    if (error instanceof TokenizerError) return error.code;
    throw error;
  }
}

describe("files that are not a usable model", () => {
  const cases: [string, Uint8Array, string, RegExp][] = [
    ["an empty file", new Uint8Array(0), "malformed-model", /at least one piece/],
    ["text", Buffer.from("hello, this is no model"), "malformed-model", /expected/],
    ["JSON", Buffer.from(' {"model": {}}'), "malformed-model", /tokenizer.json: expected a vocab in the model/],
    ["a unigram model", modelBytes(special, { modelType: 1 }), "unsupported-model", /got unigram/],
    ["a word model", modelBytes(special, { modelType: 3 }), "unsupported-model", /got word/],
    ["a damaged character map", modelBytes(special, { characterMap: Uint8Array.of(1) }), "malformed-model", /character map/],
    ["raw spaces", modelBytes(special, { escapeWhitespaces: false }), "unsupported-model", /escaped spaces/],
    ["no unknown piece", modelBytes(letters), "malformed-model", /exactly one unknown piece, got 0/],
    ["two unknown pieces", modelBytes([...special, { spelling: "x", kind: 2 }]), "malformed-model", /got 2/],
    ["a piece twice", modelBytes([...special, ...letters, letters[0]!]), "malformed-model", /"a" again at piece 7/],
    ["an empty piece", modelBytes([...special, { spelling: "" }]), "malformed-model", /empty piece at piece 3/],
    ["a null character", modelBytes([...special, { spelling: "a\0" }]), "malformed-model", /null character at piece 3/],
    ["a long piece", modelBytes([...special, { spelling: "x".repeat(8000) }]), "malformed-model", /under 8000 bytes/],
    ["NaN", modelBytes([...special, { spelling: "a", score: NaN }]), "malformed-model", /finite score, got NaN/],
    ["infinity", modelBytes([...special, { spelling: "a", score: -Infinity }]), "malformed-model", /finite score/],
    ["a piece type of 9", modelBytes([{ spelling: "a", kind: 9 }]), "malformed-model", /type of 1 to 6, got 9/],
    ["an unused piece", modelBytes([...special, { spelling: "a", kind: 5 }]), "unsupported-model", /unused/],
    ["a control letter", modelBytes([...special, { spelling: "a", kind: 3 }]), "unsupported-model", /control pieces/],
    ["byte pieces without fallback", modelBytes([...special, ...byteNames]), "malformed-model", /byte_fallback/],
    ["255 bytes", modelBytes([...special, ...byteNames.slice(1)], fallback), "malformed-model", /got 255/],
    ["a byte of no value", modelBytes([{ spelling: "<0x1>", kind: 6 }], fallback), "malformed-model", /to <0xFF>/],
    ["invalid UTF-8", Uint8Array.of(...field(1, field(1, [0xff])), ...good), "malformed-model", /pieces in UTF-8/],
    ["a length past the end", Uint8Array.from([10, ...varint(2 ** 40), 1]), "malformed-model", /at most 1 more bytes/],
    ["a varint of 11 bytes", new Uint8Array(11).fill(0xff), "malformed-model", /varint of at most 10/],
    ["a group", Uint8Array.of(0x0b), "malformed-model", /wire type/],
  ];
  for (const [name, bytes, code, message] of cases) {
    it(name, () => {
      expect(() => loadTokenizer(bytes)).toThrow(message);
      expect(outcome(bytes)).toBe(code);
    });
  }

  it("the model that the cases above are made from is good", () => {
    expect(outcome(good)).toBe("loaded");
    expect(outcome(modelBytes(special))).toBe("loaded");
  });

  it("a million pieces are refused before they take memory", () => {
    const piece = Uint8Array.from(field(1, field(1, [0x61])));
    const bytes = new Uint8Array(piece.length * (2 ** 20 + 1));
    for (let at = 0; at < bytes.length; at += piece.length) bytes.set(piece, at);
    expect(() => loadTokenizer(bytes)).toThrow(/at most 1048576 pieces/);
  });
});

describe("damaged files", () => {
  it("every flipped bit and every cut of a small model gives a model or a TokenizerError", () => {
    for (let at = 0; at < good.length; at += 3) {
      outcome(good.subarray(0, at));
      const flipped = good.slice();
      flipped[at]! ^= 1 << at % 8;
      outcome(flipped);
    }
  });

  it("random bytes and random edits", () => {
    const edits = fc.array(fc.tuple(fc.nat(good.length - 1), fc.nat(255)), { minLength: 1, maxLength: 8 });
    fc.assert(
      fc.property(edits, fc.uint8Array({ maxLength: 200 }), (changes, noise) => {
        const edited = good.slice();
        for (const [at, byte] of changes) edited[at] = byte;
        outcome(edited);
        outcome(noise);
      }),
      { numRuns: 300 },
    );
  });

  it.skipIf(!hasData)("a published model with random edits (needs the shared data folder)", () => {
    const file = readData("tokenizers/tok512/tok512.model");
    const places = fc.array(fc.tuple(fc.nat(file.length - 1), fc.nat(255)), { minLength: 1, maxLength: 6 });
    fc.assert(
      fc.property(places, fc.nat(file.length), fc.nat(40), (changes, cut, length) => {
        const edited = file.slice();
        for (const [at, byte] of changes) edited[at] = byte;
        outcome(edited);
        outcome(Buffer.concat([edited.subarray(0, cut), edited.subarray(cut + length)]));
      }),
      { numRuns: process.env["DANU_SOAK"] ? 100_000 : 300 },
    );
  });

  it.skipIf(!hasData)("a published model cut at every 97th byte (needs the shared data folder)", () => {
    const file = readData("tokenizers/tok512/tok512.model");
    for (let length = 0; length < file.length; length += 97) outcome(file.subarray(0, length));
    const large = readData("tokenizers/llama2/tokenizer.model");
    for (let length = 0; length < large.length; length += 97 * 211) outcome(large.subarray(0, length));
  });
});

import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { loadTokenizer, type Tokenizer, TokenizerError } from "../src/index.ts";
import { byteNames, hasData, loadData, modelBytes, type Piece, special } from "./support.ts";

/** Ties, scores out of order, pieces across spaces, a user-defined piece, and `é`, which is no piece, inside one. */
const spellings = ["a", "b", "_", "\n", "aa", "ab", "ba", "aab", "_a", "b_", "__", "abab", "a\u00e9", "____"];
const pieces: Piece[] = [
  ...spellings.map((name, i) => ({ spelling: name.replaceAll("_", "\u2581"), score: -((i * 7) % 5) })),
  { spelling: "<sep>", kind: 4 },
];
const small = loadTokenizer(modelBytes([...special, ...byteNames, ...pieces], { byteFallback: true }));
const models: [string, Tokenizer][] = [["a small model", small]];
if (hasData) {
  models.push(["Llama 2", loadData("tokenizers/llama2/tokenizer.model")]);
  models.push(["Mistral v3", loadData("tokenizers/mistral/tokenizer.model.v3")]);
}

const fragments = ["a", "b", " ", "\n", "the", "  ", "\u00e9", "<s>", "<sep>", "\u{1F600}", "\ud83d", "\u2581"];
const anyText = fc.oneof(
  fc.string({ unit: "binary", maxLength: 80 }),
  fc.array(fc.constantFrom(...fragments), { maxLength: 60 }).map((parts) => parts.join("")),
);

/** What a text becomes by a round trip: `▁` is how pieces spell a space, and lone surrogates have no UTF-8. */
function roundTrip(text: string): string {
  return wellFormed(text).replaceAll("\u2581", " ");
}

function wellFormed(text: string): string {
  return new TextDecoder("utf-8", { ignoreBOM: true }).decode(new TextEncoder().encode(text));
}

describe.each(models)("%s", (_, tokenizer) => {
  it("decode undoes encode", () => {
    fc.assert(
      fc.property(anyText, (text) => {
        expect(tokenizer.decode(tokenizer.encode(text))).toBe(roundTrip(text));
      }),
      { numRuns: 500 },
    );
  });

  it("ids are in range, and BOS and EOS stand around the same ids", () => {
    fc.assert(
      fc.property(anyText, (text) => {
        const ids = [...tokenizer.encode(text)];
        expect(ids.every((id) => id >= 0 && id < tokenizer.vocabularySize)).toBe(true);
        const framed = tokenizer.encode(text, { addBos: true, addEos: true });
        expect([...framed]).toEqual([tokenizer.bosId, ...ids, tokenizer.eosId]);
      }),
    );
  });

  it("text never becomes a control piece unless asked for", () => {
    fc.assert(
      fc.property(anyText, (text) => {
        const spelled = `${text}<s></s><unk>`;
        const controls = [tokenizer.bosId, tokenizer.eosId, tokenizer.unkId];
        for (const id of tokenizer.encode(spelled)) expect(controls).not.toContain(id);
        const parsed = tokenizer.encode(spelled, { parseSpecial: true });
        expect(Array.from(parsed.slice(-3))).toEqual(controls);
      }),
    );
  });

  it("a stream gives the same text as one call, and only whole characters", () => {
    const anyIds = fc.array(fc.nat(Math.min(tokenizer.vocabularySize, 300) - 1), { maxLength: 40 });
    fc.assert(
      fc.property(anyIds, anyText, fc.boolean(), (ids, text, skipSpecial) => {
        for (const list of [ids, [...tokenizer.encode(text)]]) {
          const stream = tokenizer.streamDecoder({ skipSpecial });
          const parts = list.map((id) => stream.push(id));
          for (const part of parts) expect(part).toBe(wellFormed(part));
          expect(parts.join("") + stream.flush()).toBe(tokenizer.decode(list, { skipSpecial }));
        }
      }),
      { numRuns: 400 },
    );
  });

  it("idOf finds every piece", () => {
    for (let id = 0; id < tokenizer.vocabularySize; id += 7) expect(tokenizer.idOf(tokenizer.pieces[id]!)).toBe(id);
    expect(tokenizer.idOf("no such piece")).toBe(-1);
    expect(tokenizer.idOf("")).toBe(-1);
  });
});

describe("the public door", () => {
  it("special ids", () => {
    expect([small.unkId, small.bosId, small.eosId, small.padId]).toEqual([0, 1, 2, -1]);
    expect(small.vocabularySize).toBe(3 + 256 + pieces.length);
  });

  it("decode: ids out of range name their place", () => {
    for (const id of [-1, 1e9, 0.5, NaN, small.vocabularySize]) {
      expect(() => small.decode([1, id])).toThrow(`got ${id} at position 1`);
      expect(() => small.streamDecoder().push(id)).toThrow(TokenizerError);
    }
  });

  it("decode: invalid UTF-8 becomes one U+FFFD per maximal subpart", () => {
    const bytes = (...values: number[]): number[] => values.map((byte) => byte + 3);
    expect(small.decode(bytes(0xf0, 0x9f, 0x98))).toBe("\ufffd");
    expect(small.decode(bytes(0xf0, 0x9f, 0x98, 0x80))).toBe("\u{1F600}");
    expect(small.decode(bytes(0xed, 0xa0, 0x80))).toBe("\ufffd\ufffd\ufffd");
    expect(small.decode(bytes(0xc3, 0x28, 0xc3))).toBe("\ufffd(\ufffd");
    // A control piece ends the run: the two halves do not join.
    expect(small.decode([...bytes(0xc3), small.bosId, ...bytes(0xa9)])).toBe("\ufffd\ufffd");
    expect(small.decode(bytes(0xef, 0xbb, 0xbf, 0x61))).toBe("\ufeffa");
  });

  it("decode: control pieces are left out or spelled", () => {
    const ids = [small.bosId, ...small.encode("ab"), small.eosId];
    expect(small.decode(ids)).toBe("ab");
    expect(small.decode(ids, { skipSpecial: false })).toBe("<s> ab</s>");
  });

  it("decode: one leading space goes, others stay", () => {
    expect(small.decode(small.encode("  a"))).toBe("  a");
    expect(small.decode([small.idOf("\u2581"), small.idOf("\u2581a")])).toBe(" a");
  });

  it("encode: asking for a piece that the model lacks", () => {
    const bare = loadTokenizer(modelBytes([special[0]!, { spelling: "a" }]));
    expect(() => bare.encode("a", { addBos: true })).toThrow(/beginning-of-sequence/);
    expect(() => bare.encode("a", { addEos: true })).toThrow(/end-of-sequence/);
    expect([...bare.encode("xxaxx")]).toEqual([0, 1, 0]);
  });

  it("encode: each stretch between special pieces has its own dummy space", () => {
    const between = small.encode("a<s>a", { parseSpecial: true });
    expect([...between]).toEqual([...small.encode("a"), small.bosId, ...small.encode("a")]);
  });

  it("results are copies", () => {
    const first = small.encode("ab ab");
    const before = [...first];
    small.encode("ba ba ba");
    expect([...first]).toEqual(before);
  });
});

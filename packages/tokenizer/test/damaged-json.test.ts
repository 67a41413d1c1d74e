import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { loadTokenizer, type Tokenizer } from "../src/index.ts";
import { addedToken, addedTokens, type Fields, jsonBytes, jsonFile, outcome } from "./json-files.ts";
import { hasData, readData, readGolden } from "./support.ts";

const utf8 = new TextEncoder();
const text = (content: string): Uint8Array => utf8.encode(content);

describe("files made to be slow", () => {
  const load = (...tokens: Fields[]): Tokenizer => loadTokenizer(jsonBytes(jsonFile({}, { added_tokens: tokens })));

  it("pieces that share one hash are refused", () => {
    // Two strings of one hash, one after another in every combination.
    const [first, second] = collision();
    const blocks = Array.from({ length: 11 }, (_, bit) => bit);
    const blocksOf = (i: number): string[] => blocks.map((bit) => ((i >> bit) & 1 ? first : second));
    const names = Array.from({ length: 2048 }, (_, i) => blocksOf(i).join(""));
    const vocab = Object.fromEntries(["<unk>", ...names].map((name, id) => [name, id]));
    expect(() => loadTokenizer(jsonBytes(jsonFile({ vocab, merges: [] })))).toThrow(/pieces share one hash/);
  });

  it("a long added token and a text that almost holds it", () => {
    const literal = `${"a".repeat(1_000_000)}b`;
    const tokenizer = load(addedToken(8, literal));
    expect(tokenizer.encode("a".repeat(1_000_000), { parseSpecial: true }).length).toBe(1_000_000);
    expect([...tokenizer.encode(`a${literal}a`, { parseSpecial: true })]).toEqual([1, 8, 1]);
  });

  it("very many added tokens", () => {
    const tokenizer = load(...addedTokens(100_000));
    expect([...tokenizer.encode("<99999>a<5>", { parseSpecial: true })]).toEqual([100_007, 1, 13]);
    expect([tokenizer.idOf("<777>"), tokenizer.pieces[785]]).toEqual([785, "<777>"]);
    expect(tokenizer.decode([1, 785, 2])).toBe("ab");
  });

  it("tokens that take along a run of white space of which each is one", () => {
    const flags = { lstrip: true, rstrip: true };
    const tokenizer = load(addedToken(8, "\n", flags), addedToken(9, "\t", { rstrip: true }));
    expect([...tokenizer.encode("\n".repeat(200_000), { parseSpecial: true })]).toEqual([8]);
    expect(tokenizer.encode("\t".repeat(200_000), { parseSpecial: true }).length).toBe(200_000);
  });
});

/** Two strings of eight letters with the same polynomial hash. */
function collision(): [string, string] {
  const seen = new Map<number, string>();
  for (let seed = 1; ; seed++) {
    let name = "";
    let hash = 0;
    let state = Math.imul(seed, 0x9e3779b1);
    for (let i = 0; i < 8; i++) {
      state = Math.imul(state ^ (state >>> 13), 0x5bd1e995);
      const byte = 0x61 + ((state >>> 16) % 26);
      name += String.fromCharCode(byte);
      hash = (Math.imul(hash, 0x01000193) + byte + 1) | 0;
    }
    const other = seen.get(hash);
    if (other !== undefined && other !== name) return [other, name];
    seen.set(hash, name);
  }
}

describe("damaged files", () => {
  const { cases } = readGolden<{ cases: { name: string; files: Record<string, string> }[] }>("huggingface-small.json");
  const names = ["llama-2", "gpt-2", "qwen-2", "gemma", "added-overlapping", "normalizer-nested", "template-several"];
  const files = names.map((name) => utf8.encode(cases.find((each) => each.name === name)!.files["tokenizer.json"]));
  const numRuns = process.env["DANU_SOAK"] ? 100_000 : 1_000;
  const timeout = numRuns * 20;

  it("every cut of a small file", () => {
    const good = jsonBytes(jsonFile());
    for (let length = 0; length < good.length; length++) {
      expect(outcome(good.subarray(0, length))).toBe("malformed-model");
    }
  });

  it(`random edits of bytes and of whole stretches, ${numRuns} times`, { timeout }, () => {
    const edit = fc.record({
      at: fc.nat(),
      length: fc.nat(30),
      put: fc.oneof(
        fc.uint8Array({ maxLength: 4 }),
        fc.constantFrom(..."\"{}[],:0").map(text),
        fc.constantFrom("null", "-1", "1e99", "true", '""', '"\\u', "{}").map(text),
      ),
    });
    fc.assert(
      fc.property(fc.constantFrom(...files), fc.array(edit, { minLength: 1, maxLength: 4 }), (bytes, edits) => {
        let edited = bytes;
        for (const { at, length, put } of edits) {
          const place = at % (edited.length + 1);
          edited = Uint8Array.of(...edited.subarray(0, place), ...put, ...edited.subarray(place + length));
        }
        outcome(edited);
      }),
      { numRuns },
    );
  });

  it(`random values in the place of others, ${numRuns} times`, { timeout }, () => {
    const strange = fc.oneof(
      fc.constantFrom<unknown>(null, true, 0, 1, -1, 2 ** 20, 1e300, "", "a", "\u2581", "<unk>", [], {}),
      fc.constantFrom("Sequence", "ByteLevel", "NFC", "Metaspace", "Replace"),
      fc.constantFrom<unknown>(["a", "b"], { type: "Strip" }, { String: "a" }, { a: 1 }),
    );
    const trees = files.map((bytes) => JSON.parse(new TextDecoder().decode(bytes)) as unknown);
    const change = fc.tuple(fc.infiniteStream(fc.nat()), strange);
    fc.assert(
      fc.property(fc.constantFrom(...trees), fc.array(change, { minLength: 1, maxLength: 3 }), (tree, changes) => {
        const changed = changes.reduce((value, [choices, put]) => withChange(value, choices, put), tree);
        outcome(jsonBytes(changed));
      }),
      { numRuns },
    );
  });

  it.skipIf(!hasData)("a published file, cut and with flipped bits (needs the shared data folder)", () => {
    const bytes = readData("tokenizers/llama2-hf/tokenizer.json");
    const copy = Uint8Array.from(bytes);
    const step = process.env["DANU_SOAK"] ? 9_973 : 99_991;
    for (let at = 0; at < bytes.length; at += step) {
      expect(outcome(bytes.subarray(0, at))).not.toBe("loaded");
      copy[at]! ^= 1 << at % 8;
      outcome(copy);
      copy[at] = bytes[at]!;
    }
  });
});

/** A value with something else in one place below it, which the choices lead to. */
function withChange(value: unknown, choices: Iterator<number>, put: unknown): unknown {
  const isLeaf = typeof value !== "object" || value === null || Object.keys(value).length === 0;
  if (isLeaf || (choices.next().value as number) % 6 === 0) return put;
  const keys = Object.keys(value);
  const key = keys[(choices.next().value as number) % keys.length]!;
  const inner = withChange((value as Record<string, unknown>)[key], choices, put);
  return Array.isArray(value) ? value.with(Number(key), inner) : { ...value, [key]: inner };
}

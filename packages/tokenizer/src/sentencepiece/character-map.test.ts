import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { readGolden } from "../../test/support.ts";
import { TokenizerError } from "../errors.ts";
import { LiteralMatcher } from "../text/literal-matcher.ts";
import { CharacterMap } from "./character-map.ts";

interface Golden {
  map: string;
  mapped: { text: string; result: string; sources: number[] }[];
}
const golden = readGolden<Golden>("character-map.json");
const goldenBlob = new Uint8Array(Buffer.from(golden.map, "base64"));

type Rule = readonly [source: string, target: string];

/** A unit of a Darts trie. */
function unit(label: number, offset: number, hasValue = false): number {
  return (offset << 10) | (hasValue ? 0x100 : 0) | label;
}

function value(place: number): number {
  return 0x80000000 + place;
}

function blobOf(units: readonly number[], replacements: Uint8Array): Uint8Array {
  const padded = Uint32Array.from({ length: Math.ceil(units.length / 256) * 256 }, (_, i) => units[i] ?? 0);
  const size = Uint32Array.of(padded.byteLength);
  return Buffer.concat([Buffer.from(size.buffer), Buffer.from(padded.buffer), replacements]);
}

interface Node {
  value?: number;
  children: Map<number, Node>;
}

/** A blob of rules, its trie laid out in the simplest way: every node's children in a block of their own. */
function blobOfRules(rules: readonly Rule[]): Uint8Array {
  const root: Node = { children: new Map() };
  const replacements: Uint8Array[] = [Uint8Array.of(0)];
  let length = 1;
  for (const [source, target] of rules) {
    let node = root;
    for (const byte of Buffer.from(source)) {
      let child = node.children.get(byte);
      if (child === undefined) node.children.set(byte, (child = { children: new Map() }));
      node = child;
    }
    node.value = length;
    replacements.push(Buffer.from(`${target}\0`));
    length += replacements.at(-1)!.length;
  }
  // Unused units get a label that no rule has; with 0 they would be children by the null byte.
  const units: number[] = Array.from({ length: 256 }, () => 1);
  const queue: [place: number, label: number, node: Node][] = [[0, 0, root]];
  for (const [place, label, node] of queue) {
    const base = units.length;
    for (let i = 0; i < 256; i++) units.push(1);
    const offset = place ^ base;
    expect(offset).toBeLessThan(1 << 21);
    units[place] = unit(label, offset, node.value !== undefined);
    if (node.value !== undefined) units[base] = value(node.value);
    for (const [byte, child] of node.children) queue.push([base ^ byte, byte, child]);
  }
  return blobOf(units, Buffer.concat(replacements));
}

function literalsOf(literals: readonly string[]): LiteralMatcher {
  return new LiteralMatcher(literals.map((literal, id) => [literal, id] as const));
}

function wellFormed(text: string): string {
  return new TextDecoder("utf-8", { ignoreBOM: true }).decode(new TextEncoder().encode(text));
}

function longestFirst(strings: readonly string[]): string[] {
  return strings.toSorted((a, b) => b.length - a.length);
}

/** The definition, in code that is too slow to use. */
function applySlowly(rules: readonly Rule[], literals: readonly string[], text: string): [string, number][] {
  const targets = new Map(rules);
  const parts: [string, number][] = [];
  const source = wellFormed(text);
  for (let at = 0; at < source.length; ) {
    const startsHere = (string: string): boolean => source.startsWith(string, at);
    const literal = longestFirst(literals).find(startsHere);
    const rule = literal === undefined ? longestFirst([...targets.keys()]).find(startsHere) : undefined;
    const taken = literal ?? rule ?? String.fromCodePoint(source.codePointAt(at)!);
    parts.push([rule === undefined ? taken : targets.get(rule)!, at]);
    at += taken.length;
  }
  return parts;
}

function outcome(blob: Uint8Array, text: string): string {
  try {
    const map = new CharacterMap(blob);
    const { text: result, sources } = map.applyAligned(text);
    expect(sources.length).toBe(result.length + 1);
    return "applied";
  } catch (error) {
    if (error instanceof TokenizerError) return error.code;
    throw error;
  }
}

it("gives the texts and places of sentencepiece", () => {
  const map = new CharacterMap(goldenBlob);
  expect(golden.mapped.length).toBeGreaterThan(100);
  for (const { text, result, sources } of golden.mapped) {
    const aligned = map.applyAligned(text);
    expect([text, aligned.text, [...aligned.sources]]).toEqual([text, result, sources]);
    expect(map.apply(text)).toBe(result);
  }
});

describe("against the definition", () => {
  const accented = ["\u00e9", "\u0100", "\u0301", "\u3099"];
  const fragments = ["a", "b", "ab", " ", ...accented, "\u6f22", "\u{1F600}", "\u{1F601}", "\ufffd"];
  const word = fc.array(fc.constantFrom(...fragments), { minLength: 1, maxLength: 4 }).map((parts) => parts.join(""));
  const target = fc.oneof(fc.constantFrom("", " ", "a", "ab", "\u{1F600}x"), word);
  const rules = fc.uniqueArray(fc.tuple(word, target), { maxLength: 12, selector: ([source]) => source });
  const literals = fc.uniqueArray(word, { maxLength: 3 });
  const text = fc
    .array(fc.constantFrom(...fragments, "\0", "\ud83d", "\ude00", "c"), { maxLength: 30 })
    .map((parts) => parts.join(""));

  it("applies the longest rule at each place, and leaves literals", () => {
    fc.assert(
      fc.property(rules, literals, text, (someRules, someLiterals, someText) => {
        const map = new CharacterMap(blobOfRules(someRules), literalsOf(someLiterals));
        const parts = applySlowly(someRules, someLiterals, someText);
        const { text: result, sources } = map.applyAligned(someText);
        expect(result).toBe(parts.map(([part]) => part).join(""));
        const expected = parts.flatMap(([part, at]) => Array.from({ length: part.length }, () => at));
        expect([...sources]).toEqual([...expected, someText.length]);
        expect(map.apply(someText)).toBe(result);
      }),
      { numRuns: 500 },
    );
  });

  it("reports every part of the text once, in order", () => {
    fc.assert(
      fc.property(rules, literals, text, (someRules, someLiterals, someText) => {
        const map = new CharacterMap(blobOfRules(someRules), literalsOf(someLiterals));
        let end = 0;
        const follow = (from: number, to: number): void => {
          expect(from).toBe(end);
          expect(to).toBeGreaterThan(from);
          end = to;
        };
        map.scan(someText, follow, follow);
        expect(end).toBe(someText.length);
      }),
    );
  });
});

describe("corners", () => {
  it("a rule that has begun hides the start of a literal, and a literal hides a rule", () => {
    const rules: Rule[] = [["ab", "1"], ["c", "2"]];
    const map = new CharacterMap(blobOfRules(rules), literalsOf(["bc", "cc"]));
    expect(map.apply("abc")).toBe("12");
    expect(map.apply("bcab")).toBe("bc1");
    expect(map.apply("cccabcc")).toBe("cc21cc");
  });

  it("two lone surrogates do not become a pair when what is between them goes", () => {
    const map = new CharacterMap(blobOfRules([["-", ""]]));
    expect(map.apply("\ud83d-\ude00")).toBe("\ufffd\ufffd");
    expect(map.apply("\ud83d\ude00-")).toBe("\u{1F600}");
  });

  it("a lone surrogate is U+FFFD to the rules", () => {
    const rules: Rule[] = [["\ufffd", "!"], ["a\ufffd", "?"]];
    const map = new CharacterMap(blobOfRules(rules));
    expect(map.apply("a\udc00\ud800b")).toBe("?!b");
  });

  it("a lone surrogate is U+FFFD to the literals", () => {
    const map = new CharacterMap(blobOfRules([["a", "b"]]), literalsOf(["a\ufffd"]));
    expect(map.apply("a\udc00a")).toBe("a\ufffdb");
    expect([...map.applyAligned("a\udc00a").sources]).toEqual([0, 0, 2, 3]);
  });

  it("reads characters of one to four bytes at the limits of each length", () => {
    const limits = [...String.fromCodePoint(0x01, 0x7f, 0x80, 0x7ff, 0x800, 0xffff, 0x10000, 0x10ffff)];
    const map = new CharacterMap(blobOfRules(limits.map((character, i) => [character, `${i}`])));
    expect(map.apply(limits.join(""))).toBe("01234567");
  });

  it("the null character is no way to a replacement's place", () => {
    const rules: Rule[] = [["b", "x".repeat(254)], ["a", "y"]];
    const map = new CharacterMap(blobOfRules(rules));
    expect(map.apply("a\0")).toBe("y\0");
  });

  it("an unchanged text is that text", () => {
    const text = "plain \u00e9 \u{1F600}\0";
    expect(new CharacterMap(blobOfRules([["Q", "q"]])).apply(text)).toBe(text);
    expect([...new CharacterMap(blobOfRules([])).applyAligned("").sources]).toEqual([0]);
  });

  it("takes a rule of 128 units and refuses to follow a longer one", () => {
    const source = "x".repeat(128);
    expect(new CharacterMap(blobOfRules([[source, "y"]])).apply(`${source}x`)).toBe("yx");
    const longer = new CharacterMap(blobOfRules([[`${source}x`, "y"]]));
    expect(longer.apply("xx")).toBe("xx");
    expect(() => longer.apply(`${source}x`)).toThrow(/rules of at most 128/);
  });

  it("allows long replacements, in proportion to the text", () => {
    const map = new CharacterMap(blobOfRules([["a", "b".repeat(5000)]]));
    expect(map.apply("aa")).toBe("b".repeat(10_000));
    expect(map.apply(`a${"c".repeat(500)}a`.repeat(20)).length).toBe(20 * 10_500);
    expect(() => map.apply("a".repeat(20))).toThrow(TokenizerError);
    expect(() => map.applyAligned("a".repeat(20))).toThrow(/at most 66176 UTF-16 units in a text of 20/);
  });
});

describe("blobs that are no character map", () => {
  const empty = Uint8Array.of(0);
  const root = unit(0, 0);
  const cases: [string, Uint8Array, RegExp][] = [
    ["nothing", new Uint8Array(0), /size of 0 in 0 bytes/],
    ["three bytes", Uint8Array.of(0, 4, 0), /size of 0 in 3 bytes/],
    ["a trie longer than the blob", goldenBlob.subarray(0, 500), /in 500 bytes/],
    ["a trie without replacements", blobOf([root], new Uint8Array(0)), /size of 1024 in 1028 bytes/],
    ["an empty trie", new Uint8Array(20), /size of 0 in 20 bytes/],
    ["a trie of no whole block", Buffer.concat([Uint8Array.of(4, 4, 0, 0), new Uint8Array(2000)]), /size of 1028 in/],
    ["a size near 2^32", Buffer.concat([Uint8Array.of(0, 252, 255, 255), new Uint8Array(20)]), /4294966272 in 24/],
    ["replacements without an end", blobOf([root], Uint8Array.of(0x61)), /end with a null/],
    ["replacements in Latin 1", blobOf([root], Uint8Array.of(0xe9, 0)), /in UTF-8/],
    ["a root that is a value", blobOf([value(0)], empty), /root in the trie/],
    ["children outside", blobOf([unit(0, 256)], empty), /children below 256 in the trie, got 256 at unit 0/],
    ["children far outside", blobOf([(0x1fffff << 10) | 0x200], empty), /got 536870656 at unit 0/],
    ["a value outside", blobOf([root, unit(1, 3, true), value(1)], empty), /start of a replacement.* got 1 at unit 2/],
    ["a value inside", blobOf([root, unit(1, 3, true), value(1)], Buffer.from("ab\0")), /got 1 at unit 2/],
  ];
  it.each(cases)("%s", (_, blob, message) => {
    expect(() => new CharacterMap(blob)).toThrow(message);
    expect(outcome(blob, "a")).toBe("malformed-model");
  });

  it("a trie that goes round in a circle ends with an error", () => {
    const units = [unit(0, 0)];
    units[0x61] = unit(0x61, 0x61);
    expect(outcome(blobOf(units, empty), "a".repeat(128))).toBe("applied");
    expect(outcome(blobOf(units, empty), "a".repeat(100_000))).toBe("unsupported-model");
  });

  const nasty = golden.mapped.map(({ text }) => text).join("");
  const bytes = fc.uint8Array({ minLength: 1, maxLength: 8 });

  it("damaged maps give an error or a text", () => {
    const seen = new Set<string>();
    const change = fc.tuple(fc.nat({ max: goldenBlob.length - 1 }), bytes);
    fc.assert(
      fc.property(fc.array(change, { minLength: 1, maxLength: 4 }), fc.boolean(), (changes, cut) => {
        const blob = cut ? goldenBlob.slice(0, changes[0]![0]) : goldenBlob.slice();
        for (const [at, values] of changes) for (const [i, byte] of values.entries()) blob[at + i] = byte;
        seen.add(outcome(blob, nasty));
      }),
      { numRuns: 2000 },
    );
    expect(seen).toContain("malformed-model");
    expect(seen).toContain("applied");
  });

  it("random graphs in place of a tree give an error or a text", () => {
    // Every sixteenth unit is a value and all bases are such units, so that all edges have a chance to fit.
    const sixteenth = fc.nat({ max: 15 });
    const edge = fc.tuple(sixteenth, fc.integer({ min: 1, max: 15 }), fc.boolean());
    const isText = fc.array(fc.integer({ min: 0, max: 127 }), { maxLength: 300 }).map((x) => String.fromCharCode(...x));
    fc.assert(
      fc.property(fc.array(edge, { minLength: 256, maxLength: 256 }), isText, (edges, text) => {
        const units = edges.map(([parent, base, hasValue], i) =>
          i > 0 && i % 16 === 0 ? value(2) : unit(i ^ (16 * parent), i ^ (16 * base), hasValue),
        );
        expect(outcome(blobOf(units, Buffer.from("x\0yz\0")), text)).not.toBe("malformed-model");
      }),
      { numRuns: 500 },
    );
  });
});

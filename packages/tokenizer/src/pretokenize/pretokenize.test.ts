import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { readGolden } from "../../test/support.ts";
import { gpt2, gpt2Pattern, preTokenizerOf, preTokenizerOfAll } from "./known-patterns.ts";
import type { PreTokenizer } from "./pretokenizer.ts";

interface Golden {
  readonly texts: readonly string[];
  /** Per text the lengths of its words in bytes, with a space between. */
  readonly cases: readonly { name: string; patterns: readonly string[]; cuts: readonly string[] }[];
}
const { texts, cases } = readGolden<Golden>("pretokenize.json");
const patternsOf = new Map(cases.map(({ name, patterns }) => [name, patterns]));
const llama3Pattern = patternsOf.get("llama3")![0]!;

function encode(text: string): Uint8Array {
  return new TextEncoder().encode(text);
}

function cutsOf(preTokenizer: PreTokenizer, text: string): number[] {
  const bytes = encode(text);
  return cutsBetween(preTokenizer, bytes, 0, bytes.length);
}

function cutsBetween(preTokenizer: PreTokenizer, bytes: Uint8Array, start: number, end: number): number[] {
  const lengths: number[] = [];
  for (let at = start; at < end; ) {
    const next = preTokenizer.next(bytes, at, end);
    lengths.push(next - at);
    at = next;
  }
  return lengths;
}

/** The same pattern for JavaScript: white space is Unicode's, no quantifier is possessive, no group folds case. */
function regexOf(pattern: string): RegExp {
  const source = pattern
    .replaceAll(/\(\?i:'s[^)]*\)|'\(\?i:[^)]*\)/g, "(?:'(?:[sdmt\u017fSDMT]|[lL][lL]|[vV][eE]|[rR][eE]))")
    .replaceAll("?+", "?")
    .replaceAll("++", "+")
    .replaceAll(String.raw`\s`, String.raw`\p{White_Space}`)
    .replaceAll(String.raw`\S`, String.raw`\P{White_Space}`);
  return new RegExp(source, "gu");
}

/** Matches of a pattern and what lies between them. */
function split(text: string, pattern: RegExp): string[] {
  const words: string[] = [];
  let end = 0;
  for (const match of text.matchAll(pattern)) {
    words.push(text.slice(end, match.index), match[0]);
    end = match.index + match[0].length;
  }
  return [...words, text.slice(end)].filter((word) => word !== "");
}

describe("words of Hugging Face tokenizers", () => {
  it.each(cases)("$name", ({ patterns, cuts }) => {
    const preTokenizer = preTokenizerOfAll(patterns)!;
    for (const [i, text] of texts.entries()) {
      expect([text, cutsOf(preTokenizer, text).join(" ")]).toEqual([text, cuts[i]]);
    }
  });

  it("gpt2 is the scanner of its pattern", () => {
    const golden = cases.find(({ patterns }) => patterns.length === 1 && patterns[0] === gpt2Pattern)!;
    expect(texts.map((text) => cutsOf(gpt2, text).join(" "))).toEqual(golden.cuts);
  });
});

describe("the JavaScript regular expression cuts alike", () => {
  const others: [string, string[]][] = [
    ["no contractions", [llama3Pattern.replace(/^\(.*?\)\|/, "")]],
    ["digits apart, then with a space", [String.raw`\p{N}+`, gpt2Pattern]],
    ["digits apart, then by threes", [String.raw`\p{N}+`, llama3Pattern]],
    ["digits by twos, then one by one", [String.raw`\p{N}{1,2}`, patternsOf.get("qwen2")![0]!]],
    ["digits apart, then words by case", [String.raw`\p{N}`, patternsOf.get("o200k")![0]!]],
    ["contractions before words by case", [llama3Pattern.slice(0, 29) + patternsOf.get("tekken")![0]!]],
  ];
  const fragments = [..." \n\t\r\u0085\u00a0\u3000\ufeff\u200b\0'sStTlLrReEaAzZ\u017f19\u0663\u2167\u00bd.,/-_$!"];
  fragments.push(..."\u0301\u093f\u0915\u01c5\u02b0\u03a3\u03c3\u4e2d\u3042\u3099\u30fb\u1c90\u10d0\uac00");
  fragments.push("  ", "\n\n", "\r\n", "'ll", "'Re", "\u{1f600}", "\u{10400}", "\u{10428}", "\u{1d7d8}", "\u{20000}");
  const anyText = fc.oneof(
    fc.string({ unit: "binary", maxLength: 30 }),
    fc.array(fc.constantFrom(...fragments), { maxLength: 30 }).map((parts) => parts.join("")),
    fc
      .uniqueArray(fc.constantFrom(...fragments), { minLength: 2, maxLength: 4 })
      .chain((few) => fc.array(fc.constantFrom(...few), { maxLength: 30 }).map((parts) => parts.join(""))),
  );

  it.each([...patternsOf, ...others])("%s", (_, patterns) => {
    const preTokenizer = preTokenizerOfAll(patterns)!;
    const regexes = patterns.map(regexOf);
    fc.assert(
      fc.property(anyText, (text) => {
        const words = regexes.reduce((rest, regex) => rest.flatMap((word) => split(word, regex)), [text]);
        const lengths = words.map((word) => encode(word).length);
        expect(cutsOf(preTokenizer, text)).toEqual(lengths.filter((length) => length > 0));
      }),
      { numRuns: 1000 },
    );
  });

  it("a stretch in the middle is cut as if it were the text", () => {
    const anyCase = fc.constantFrom(...cases);
    // Stretches that end where a word, a run or a contraction would go on.
    const seams = [" a ", "'ll", "'re", "'s ", "a's", "a' ", "aB", " 1", "  a", "\n\n", "!\n", "12", ".a", "\0a"];
    type Example = [before: string, text: string, after: string, golden: Golden["cases"][number]];
    const examples = cases.flatMap((each) =>
      seams.flatMap((seam) => [1, 2].map((at): Example => ["x", seam.slice(0, at), seam.slice(at), each])),
    );
    fc.assert(
      fc.property(anyText, anyText, anyText, anyCase, (before, text, after, { patterns }) => {
        const preTokenizer = preTokenizerOfAll(patterns)!;
        const start = encode(before).length;
        const end = start + encode(text).length;
        const cuts = cutsBetween(preTokenizer, encode(before + text + after), start, end);
        expect(cuts).toEqual(cutsOf(preTokenizer, text));
      }),
      { numRuns: 1000, examples },
    );
  });
});

describe("bytes are looked at a bounded number of times", () => {
  const units = [" ", "\n", " \n", "\n ", "\r ", "\t", "\u3000", "!", "!\n", "!\n ", "/\n", "1", " 1", "  1", "a", "A"];
  units.push("aA", "\u4e2d", "\u4e2dA", "\u3042", "  \u3042", "\u0301", "\u0301A", "'", "'s", "' ", "\0", "\0\u0301");
  units.push("\u{1f600}");

  it.each(cases)("$name", ({ patterns }) => {
    const preTokenizer = preTokenizerOfAll(patterns)!;
    for (const unit of units) {
      const text = encode(unit.repeat(3000) + "A");
      let reads = 0;
      const bytes = new Proxy(text, {
        get(target, key) {
          reads++;
          return Reflect.get(target, key);
        },
      });
      for (let at = 0; at < text.length; ) at = preTokenizer.next(bytes, at, text.length);
      expect([unit, Math.round(reads / text.length)]).toEqual([unit, expect.toSatisfy((each: number) => each <= 12)]);
    }
  });
});

describe("unknown patterns", () => {
  it.each([
    ["nothing", []],
    ["an empty one", [""]],
    ["a prefix", [gpt2Pattern.slice(0, -1)]],
    ["something after a known one", [`${gpt2Pattern}|x`]],
    ["an alternative left out", [gpt2Pattern.replace(String.raw` ?\p{N}+|`, "")]],
    ["alternatives in another order", [gpt2Pattern.replace(String.raw`\s+(?!\S)|\s+`, String.raw`\s+|\s+(?!\S)`)]],
    ["marks in no word", [patternsOf.get("qwen3.5")![0]!.replace(String.raw`[\p{L}\p{M}]+`, String.raw`\p{L}+`)]],
    // In Ruby's syntax, which Hugging Face uses, this is not possessive but repeats.
    ["an interval with a plus", [llama3Pattern.replace("{1,3}", "{1,3}+")]],
    ["digits by threes, then by twos", [String.raw`\p{N}{1,3}`, patternsOf.get("nanochat")![0]!]],
    ["two patterns of words", [gpt2Pattern, gpt2Pattern]],
    ["one of DeepSeek's three", patternsOf.get("deepseek-v3")!.slice(2)],
    ["the first two of DeepSeek's", patternsOf.get("deepseek-v3")!.slice(0, 2)],
  ])("%s", (_, patterns) => {
    expect(preTokenizerOfAll(patterns)).toBeUndefined();
    if (patterns.length === 1) expect(preTokenizerOf(patterns[0]!)).toBeUndefined();
  });
});

import { NEWLINE, setOf, SLASH } from "./classes.ts";
import { deepSeek } from "./deepseek.ts";
import type { PreTokenizer } from "./pretokenizer.ts";
import { WordScanner, type WordRules } from "./word-scanner.ts";

/** Spellings of one part of a pattern with the rules they stand for. */
type Part = readonly (readonly [spelling: string, rules: Partial<WordRules>])[];

const folded = String.raw`(?i:'s|'t|'re|'ve|'m|'ll|'d)`;
const lead = String.raw`[^\r\n\p{L}\p{N}]?`;
const upper = String.raw`[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]`;
const lower = String.raw`[\p{Ll}\p{Lm}\p{Lo}\p{M}]`;
const cased: Partial<WordRules> = { lead: "any", marks: true, cased: true };

/** The alternatives of a pattern in their order. Possessive quantifiers cut like the others here, and `\s*[\r\n]` ends
 *  where `\s*[\r\n]+` does. */
const parts: readonly Part[] = [
  [
    ["'s|'t|'re|'ve|'m|'ll|'d|", { contractions: "lower" }],
    ["'(?:[sdmt]|ll|ve|re)|", { contractions: "lower" }],
    [`${folded}|`, { contractions: "any" }],
    ["'(?i:[sdmt]|ll|ve|re)|", { contractions: "any" }],
    ["", {}],
  ],
  [
    [String.raw` ?\p{L}+|`, { lead: "space" }],
    [String.raw` ?\p{L}++|`, { lead: "space" }],
    [String.raw`${lead}\p{L}+|`, { lead: "any" }],
    [String.raw`${lead}+\p{L}+|`, { lead: "any" }],
    [String.raw`${lead}+\p{L}++|`, { lead: "any" }],
    [String.raw`${lead}[\p{L}\p{M}]+|`, { lead: "any", marks: true }],
    [`${lead}${upper}*${lower}+|${lead}${upper}+${lower}*|`, cased],
    [`${lead}${upper}*${lower}+${folded}?|${lead}${upper}+${lower}*${folded}?|`, { ...cased, endings: "any" }],
  ],
  [
    [String.raw` ?\p{N}+|`, { digits: Infinity, spaceBeforeDigits: true }],
    [String.raw` ?\p{N}++|`, { digits: Infinity, spaceBeforeDigits: true }],
    [String.raw`\p{N}+|`, { digits: Infinity }],
    [String.raw`\p{N}{1,3}|`, { digits: 3 }],
    [String.raw`\p{N}{1,2}|`, { digits: 2 }],
    [String.raw`\p{N}{1}|`, { digits: 1 }],
    [String.raw`\p{N}|`, { digits: 1 }],
  ],
  [
    [String.raw` ?[^\s\p{L}\p{N}]+|`, {}],
    [String.raw` ?[^\s\p{L}\p{N}]++|`, {}],
    [String.raw` ?[^\s\p{L}\p{N}\r\n]+|`, {}],
    [String.raw` ?[^\s\p{L}\p{N}]+[\r\n]*|`, { symbolTail: setOf(NEWLINE) }],
    [String.raw` ?[^\s\p{L}\p{N}]++[\r\n]*|`, { symbolTail: setOf(NEWLINE) }],
    [String.raw` ?[^\s\p{L}\p{N}]+[\r\n/]*|`, { symbolTail: setOf(NEWLINE, SLASH) }],
    [String.raw` ?[^\s\p{L}\p{M}\p{N}]+[\r\n]*|`, { symbolTail: setOf(NEWLINE), symbolMarks: false }],
  ],
  [
    [String.raw`\s*[\r\n]+|`, { cutsAfterNewlines: true }],
    [String.raw`\s*[\r\n]|`, { cutsAfterNewlines: true }],
    ["", {}],
  ],
];
const ending = String.raw`\s+(?!\S)|\s+`;

const defaults: WordRules = {
  contractions: "none",
  lead: "any",
  marks: false,
  cased: false,
  endings: "none",
  digits: Infinity,
  spaceBeforeDigits: false,
  digitsApart: false,
  symbolMarks: true,
  symbolTail: 0,
  cutsAfterNewlines: false,
};

/** The rules of a pattern put together from the known parts, or undefined for any other pattern. */
function rulesOf(pattern: string): WordRules | undefined {
  let rest = pattern;
  let rules = defaults;
  for (const part of parts) {
    const found = part.find(([spelling]) => rest.startsWith(spelling));
    if (found === undefined) return undefined;
    rest = rest.slice(found[0].length);
    rules = { ...rules, ...found[1] };
  }
  // A mark that is neither a letter nor a symbol would be in no word.
  return rest === ending && (rules.marks || rules.symbolMarks) ? rules : undefined;
}

/** The pattern that tokenizer.json's `ByteLevel` with `use_regex` means. */
export const gpt2Pattern: string =
  String.raw`'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+`;

const digitPatterns: ReadonlyMap<string, number> = new Map([
  [String.raw`\p{N}`, 1],
  [String.raw`\p{N}{1}`, 1],
  [String.raw`\p{N}{1,2}`, 2],
  [String.raw`\p{N}{1,3}`, 3],
  [String.raw`\p{N}+`, Infinity],
]);

const deepSeekPatterns: readonly string[] = [
  String.raw`\p{N}{1,3}`,
  "[\u4e00-\u9fa5\u3040-\u309f\u30a0-\u30ff]+",
  String.raw`[!"#$%&'()*+,\-./:;<=>?@\[\\\]^_${"`"}{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+` +
    String.raw`| ?[\p{P}\p{S}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+`,
];

/** The scanner of a known pattern, as a tokenizer.json spells it, or undefined for an unknown pattern. */
export function preTokenizerOf(pattern: string): PreTokenizer | undefined {
  return preTokenizerOfAll([pattern]);
}

/** The scanner of patterns of which each cuts what the ones before it left: a tokenizer.json's `Sequence` of isolated
 *  `Split`s, with `Digits` spelled `\p{N}` (individual) or `\p{N}+`. Undefined if any of them is unknown. */
export function preTokenizerOfAll(patterns: readonly string[]): PreTokenizer | undefined {
  // Some files have the characters themselves where others have escapes.
  const spelled = patterns.map((pattern) => pattern.replaceAll("\r", "\\r").replaceAll("\n", "\\n"));
  if (spelled.join("\n") === deepSeekPatterns.join("\n")) return deepSeek;
  const rules = rulesOf(spelled.at(-1) ?? "");
  if (rules === undefined || spelled.length > 2) return undefined;
  if (spelled.length === 1) return new WordScanner(rules);
  const digits = digitPatterns.get(spelled[0]!);
  // The second pattern cuts the digits again: of "123" and "45" by twos, where each began would have to be known.
  if (digits === undefined || (digits === 3 && rules.digits === 2)) return undefined;
  return new WordScanner({
    ...rules,
    digits: Math.min(digits, rules.digits),
    spaceBeforeDigits: false,
    digitsApart: true,
  });
}

/** The scanner of `gpt2Pattern`. */
export const gpt2: PreTokenizer = preTokenizerOf(gpt2Pattern)!;

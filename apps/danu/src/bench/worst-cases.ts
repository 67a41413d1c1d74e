import type { Tokenizer } from "@danu/tokenizer";

/** Texts on which tokenizers grow faster than the text. */
const worstTexts: Readonly<Record<string, (length: number, random: () => number) => string>> = {
  "one letter": (length) => "a".repeat(length),
  spaces: (length) => " ".repeat(length),
  newlines: (length) => "\n".repeat(length),
  "two letters in turn": (length) => "ab".repeat(length / 2),
  "random letters": (length, random) => madeOf("abcdefghijklmnopqrstuvwxyz", length, random),
  base64: (length, random) => madeOf("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/", length, random),
  "Chinese without spaces": (length, random) =>
    charactersOf(length / 3, () => String.fromCodePoint(0x4e00 + Math.floor(random() * 3000))),
  emoji: (length, random) => charactersOf(length / 4, () => String.fromCodePoint(0x1f300 + Math.floor(random() * 700))),
  "emoji families": (length) => "\u{1F469}\u200D\u{1F469}\u200D\u{1F467}\u200D\u{1F466}".repeat(length / 25),
  "lone surrogates": (length) => "\ud83d".repeat(length / 3),
};

/** How the time for one of the texts grows. */
export interface WorstCase {
  readonly name: string;
  /** Speed on the shorter text. */
  readonly MBps: number;
  /** Time for four times the text over time for the text. */
  readonly growth: number;
}

/** Times texts that are hard for tokenizers. @param bytes size of the shorter text of each kind, in UTF-8 */
export function benchWorstCases(tokenizer: Tokenizer, bytes = 1e6): WorstCase[] {
  return Object.entries(worstTexts).map(([name, make]) => {
    let [shortMs, longMs] = [Infinity, Infinity];
    for (let run = 0; run < 5; run++) {
      // New texts every time, for what is remembered of the last one would make the shorter faster.
      const [short, long] = [make(bytes, generator(2 * run)), make(4 * bytes, generator(2 * run + 1))];
      shortMs = Math.min(shortMs, milliseconds(() => tokenizer.encode(short)));
      longMs = Math.min(longMs, milliseconds(() => tokenizer.encode(long)));
    }
    return { name, MBps: bytes / shortMs / 1000, growth: longMs / shortMs };
  });
}

/** Time of one call. */
export function milliseconds(work: () => void): number {
  const start = performance.now();
  work();
  return performance.now() - start;
}

function madeOf(alphabet: string, length: number, random: () => number): string {
  return charactersOf(length, () => alphabet[Math.floor(random() * alphabet.length)]!);
}

function charactersOf(count: number, next: () => string): string {
  const parts: string[] = [];
  for (let i = 0; i < count; i++) parts.push(next());
  return parts.join("");
}

/** Numerical Recipes' linear congruential generator: the same texts in every run. */
function generator(seed: number): () => number {
  let state = seed;
  return () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state / 2 ** 32;
  };
}

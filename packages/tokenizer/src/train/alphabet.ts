import { countCharacters, SPACE_SYMBOL, type WordCounter } from "./word-counter.ts";

/** The characters of a text that get pieces. */
export interface Alphabet {
  /** Code points, the most frequent first. */
  readonly characters: readonly number[];
  /** Different characters that were left out. */
  readonly uncovered: number;
}

/** Chooses characters, the most frequent first and the lowest of equals, until they make up `coverage` of the text. The
 *  space is always among them.
 *  @param wordCounts occurrences of the counter's words */
export function chooseCharacters(counter: WordCounter, wordCounts: Float64Array, coverage: number): Alphabet {
  const occurrences = counter.characters.copy();
  wordCounts.forEach((count, id) => countCharacters(counter.words, id, count, occurrences));
  const { counts } = occurrences;
  const found: number[] = [];
  let total = 0;
  for (let codePoint = 0; codePoint < counts.length; codePoint++) {
    if (counts[codePoint] === 0) continue;
    found.push(codePoint);
    total += counts[codePoint]!;
  }
  found.sort((a, b) => counts[b]! - counts[a]! || a - b);
  let chosen = 0;
  let covered = 0;
  while (chosen < found.length && covered / total < coverage) covered += counts[found[chosen++]!]!;
  const characters = new Set([...found.slice(0, chosen), SPACE_SYMBOL]);
  return { characters: [...characters], uncovered: found.filter((character) => !characters.has(character)).length };
}

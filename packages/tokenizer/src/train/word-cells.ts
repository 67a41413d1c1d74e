import { FIRST_ROOM, grown } from "./grown.ts";
import type { SpellingTable } from "./spelling-table.ts";
import { decodeAt, encodedLength } from "./utf8.ts";
import { SPACE, SPACE_SYMBOL } from "./word-counter.ts";
import type { WordTable } from "./word-table.ts";

/** Cells before the symbols of a word: how many there are, and its occurrences in two halves of 32 bits. */
export const HEADER = 3;
/** Cells of one symbol: its number, and room for the number of what it makes with the next. */
export const SYMBOL_CELLS = 2;
const HALF = 2 ** 32;

/** Words as numbers of characters, one after another in one array, so that a visit to a word stays in one place of
 *  memory. */
export class WordCells {
  cells: Int32Array = new Int32Array(FIRST_ROOM);
  /** Number of cells in use. */
  length = 0;
  #start = 0;

  /** Adds a symbol to the word that is being written. */
  push(symbol: number): void {
    if (this.length === this.#start) this.length += HEADER;
    if (this.length + SYMBOL_CELLS > this.cells.length) {
      this.cells = grown(this.cells, (this.length + SYMBOL_CELLS) * 2);
    }
    this.cells[this.length] = symbol;
    this.length += SYMBOL_CELLS;
  }

  /** Ends the word. A single symbol is dropped, because nothing in it can merge. */
  endWord(count: number): void {
    const symbols = (this.length - this.#start - HEADER) / SYMBOL_CELLS;
    if (symbols < 2) {
      this.length = this.#start;
      return;
    }
    this.cells[this.#start] = symbols;
    this.cells[this.#start + 1] = Math.floor(count / HALF);
    this.cells[this.#start + 2] = count | 0;
    this.#start = this.length;
  }
}

/** Occurrences of the word whose cells begin at `word`. */
export function countOf(cells: Int32Array, word: number): number {
  return cells[word + 1]! * HALF + (cells[word + 2]! >>> 0);
}

/** Spells words in numbers of `characters`, which become the first spellings of the table. A character without a number
 *  ends a word.
 *  @param counts occurrences of the words */
export function spellWords(
  table: WordTable,
  counts: Float64Array,
  characters: readonly number[],
  spellings: SpellingTable,
): WordCells {
  const highest = characters.reduce((most, character) => Math.max(most, character), SPACE);
  const symbolOf = new Int32Array(highest + 1).fill(-1);
  for (const character of characters) symbolOf[character] = spellings.addCharacter(character);
  symbolOf[SPACE] = symbolOf[SPACE_SYMBOL]!;
  const { blob, offsets } = table;
  const words = new WordCells();
  for (let id = 0; id < table.size; id++) {
    const end = offsets[id + 1]!;
    for (let at = offsets[id]!; at < end; ) {
      const codePoint = decodeAt(blob, at, end);
      const symbol = symbolOf[codePoint] ?? -1;
      if (symbol >= 0) words.push(symbol);
      else words.endWord(counts[id]!);
      at += encodedLength(codePoint);
    }
    words.endWord(counts[id]!);
  }
  return words;
}

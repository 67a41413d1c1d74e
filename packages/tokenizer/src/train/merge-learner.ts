import { FIRST_ROOM, grown } from "./grown.ts";
import { PairQueue } from "./pair-queue.ts";
import type { SpellingTable } from "./spelling-table.ts";
import { countOf, HEADER, SYMBOL_CELLS, type WordCells } from "./word-cells.ts";

/** Numbers of one node: a word, and the node before it in the chain. */
const NODE = 2;

/** Finds the pieces of a byte-pair vocabulary: joins the most frequent pair of neighbours, again and again.
 *
 *  At every step the words are as an encoder with the pieces so far leaves them, so the counts are those of the text in
 *  use. An encoder joins by spelling and this class by pair, but a spelling always falls into the same pair: where two
 *  neighbours spell it, the boundaries at both ends were there from the start, because merges only remove boundaries;
 *  so what lies between was merged as if it stood alone. Hence no two pairs spell the same, and what has become a piece
 *  does not arise from two neighbours again. */
export class MergeLearner {
  readonly #spellings: SpellingTable;
  readonly #longest: number;
  readonly #queue: PairQueue;
  /** Words; beside each symbol but the last stands what it and the next make together, −1 if that is too long. */
  readonly #cells: Int32Array;
  /** By what a pair makes: newest node of the chain of words that have, or had, such a pair; 0 for none. */
  #chains = new Int32Array(FIRST_ROOM);
  #nodes = new Int32Array(FIRST_ROOM);
  /** Nodes in use; node 0 is none. */
  #nodeCount = 1;
  /** Chain of nodes to use again. */
  #freeNodes = 0;

  /** @param words are changed  @param longest piece in characters */
  constructor(words: WordCells, spellings: SpellingTable, longest: number) {
    this.#spellings = spellings;
    this.#longest = longest;
    this.#queue = new PairQueue(spellings);
    this.#cells = words.cells;
    for (let word = 0; word < words.length; ) {
      const count = countOf(this.#cells, word);
      const last = this.#lastSymbol(word);
      for (let at = word + HEADER; at < last; at += SYMBOL_CELLS) this.#pair(word, at, count);
      word = last + SYMBOL_CELLS;
    }
  }

  /** What occurs most among the pairs that are left, −1 if there is none. */
  best(): number {
    return this.#queue.takeBest();
  }

  /** Makes a piece of what `best` gave, and joins it in all words. */
  accept(piece: number): void {
    let last = 0;
    for (let node = this.#chains[piece]!; node !== 0; node = this.#nodes[node + 1]!) {
      this.#mergeWord(this.#nodes[node]!, piece);
      last = node;
    }
    this.#nodes[last + 1] = this.#freeNodes;
    this.#freeNodes = this.#chains[piece]!;
    this.#chains[piece] = 0;
  }

  /** Where the last symbol of a word stands. */
  #lastSymbol(word: number): number {
    return word + HEADER + (this.#cells[word]! - 1) * SYMBOL_CELLS;
  }

  /** Joins a pair wherever it stands in a word, the leftmost first as an encoder does. */
  #mergeWord(word: number, piece: number): void {
    for (let at = word + HEADER; at < this.#lastSymbol(word); at += SYMBOL_CELLS) {
      if (this.#cells[at + 1] === piece) this.#mergeAt(word, at);
    }
  }

  /** Joins the symbol at a place with the next. */
  #mergeAt(word: number, at: number): void {
    const cells = this.#cells;
    const queue = this.#queue;
    const count = countOf(cells, word);
    const before = at - SYMBOL_CELLS;
    const after = at + SYMBOL_CELLS;
    const last = this.#lastSymbol(word);
    const piece = cells[at + 1]!;
    const isFirst = before < word + HEADER;
    queue.subtract(piece, count);
    if (!isFirst && cells[before + 1]! >= 0) queue.subtract(cells[before + 1]!, count);
    if (after < last && cells[after + 1]! >= 0) queue.subtract(cells[after + 1]!, count);
    cells[at] = piece;
    for (let i = after; i < last; i++) cells[i] = cells[i + SYMBOL_CELLS]!;
    cells[word]!--;
    if (!isFirst) this.#pair(word, before, count);
    if (after < last) this.#pair(word, at, count);
  }

  /** Notes the pair that the symbol at a place makes with the next. */
  #pair(word: number, at: number, count: number): void {
    const cells = this.#cells;
    const left = cells[at]!;
    const right = cells[at + SYMBOL_CELLS]!;
    const { lengths } = this.#spellings;
    if (lengths[left]! + lengths[right]! > this.#longest) {
      cells[at + 1] = -1;
      return;
    }
    const pair = this.#spellings.join(left, right);
    cells[at + 1] = pair;
    this.#queue.add(pair, count);
    if (pair >= this.#chains.length) this.#chains = grown(this.#chains, pair * 2);
    this.#link(pair, word);
  }

  /** Notes that a word has a pair, unless it was noted just before. */
  #link(pair: number, word: number): void {
    const newest = this.#chains[pair]!;
    if (newest !== 0 && this.#nodes[newest] === word) return;
    let node = this.#freeNodes;
    if (node !== 0) this.#freeNodes = this.#nodes[node + 1]!;
    else {
      node = this.#nodeCount++ * NODE;
      if (node === this.#nodes.length) this.#nodes = grown(this.#nodes, node * 2);
    }
    this.#nodes[node] = word;
    this.#nodes[node + 1] = newest;
    this.#chains[pair] = node;
  }
}

import type { Merges } from "../bpe/merges.ts";
import type { PieceTable } from "../bpe/piece-table.ts";
import { Kind } from "./model.ts";

const RECENT = 1 << 14;
/** Numbers that one recent answer holds: left + 1 (0 when free), right, merge. */
const STRIDE = 4;

/** Sentencepiece's rule: two neighbours merge if their joined spelling is a piece, and the piece of the highest score
 *  goes first. A merge has the number of the piece that it makes. */
export class SpellingMerges implements Merges {
  readonly priorities: Int32Array;
  readonly products: Int32Array;
  readonly #table: PieceTable;
  readonly #kinds: Uint8Array;
  /** Answers given before, the newest at each place: a few thousand pairs make up most text. */
  readonly #recent = new Int32Array(RECENT * STRIDE);

  /** @param table spellings by symbol  @param kinds of the pieces  @param scores of the pieces */
  constructor(table: PieceTable, kinds: Uint8Array, scores: Float32Array) {
    this.#table = table;
    this.#kinds = kinds;
    this.priorities = descending(scores);
    this.products = new Int32Array(kinds.length);
    for (let id = 0; id < kinds.length; id++) this.products[id] = id;
  }

  find(left: number, right: number): number {
    if (left < 0 || right < 0) return -1;
    const mixed = Math.imul(left, 0x9e3779b1) ^ Math.imul(right, 0x85ebca6b);
    const at = ((mixed ^ (mixed >>> 15)) & (RECENT - 1)) * STRIDE;
    const recent = this.#recent;
    if (recent[at] === left + 1 && recent[at + 1] === right) return recent[at + 2]!;
    const joined = this.#table.findJoined(left, right);
    const merge = this.#kinds[joined] === Kind.normal ? joined : -1;
    recent[at] = left + 1;
    recent[at + 1] = right;
    recent[at + 2] = merge;
    return merge;
  }
}

/** Whole numbers in the opposite order of the scores: the bits of a float, read as an integer, keep its order. */
function descending(scores: Float32Array): Int32Array {
  const bits = new Int32Array(scores.buffer, scores.byteOffset, scores.length);
  const order = new Int32Array(scores.length);
  for (let i = 0; i < order.length; i++) {
    if (scores[i] !== 0) order[i] = bits[i]! > 0 ? -bits[i]! : bits[i]! & 0x7fffffff;
  }
  return order;
}

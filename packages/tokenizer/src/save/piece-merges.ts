import { UNMATCHED_SPACE } from "../bpe/characters.ts";
import { BpeEncoder, type BpeModel } from "../bpe/encoder.ts";
import { IdBuffer } from "../bpe/id-buffer.ts";
import type { PieceTable } from "../bpe/piece-table.ts";
import { Kind } from "../sentencepiece/model.ts";
import type { Vocabulary } from "../sentencepiece/vocabulary.ts";

/** More pieces than a vocabulary can have; with 32 bits of priority it fits a double. */
const PIECE_SPAN = 2 ** 21;

/** The pair of pieces that each piece is merged from. */
export interface PieceMerges {
  /** Ids of the pieces that merges make, in the order in which merges go first. */
  readonly products: Int32Array;
  /** `[V]` id of the left half, −1 for a piece that no merge makes. */
  readonly lefts: Int32Array;
  /** `[V]` id of the right half. */
  readonly rights: Int32Array;
  /** A piece with a half that is a character without a piece, −1 for none: sentencepiece alone can merge that. */
  readonly strange: number;
}

/** The merges of a SentencePiece model as a list of pairs: one pair for each piece that can be made at all.
 *
 *  One is enough. What becomes a piece in the middle of a text had its ends untouched until then, so the merges inside
 *  were those of the piece as a text of its own, and these end in one certain pair. The order is that of the scores;
 *  see `checkTies` for equal ones. */
export function pieceMerges(vocabulary: Vocabulary): PieceMerges {
  const { table, kinds, size } = vocabulary;
  const lefts = new Int32Array(size).fill(-1);
  const rights = new Int32Array(size).fill(-1);
  const splitter = new PieceSplitter(vocabulary, table);
  let count = 0;
  let strange = -1;
  for (let id = 0; id < size; id++) {
    if (kinds[id] !== Kind.normal || hasRealSpace(table, id) || splitter.split(id) !== 2) continue;
    const left = splitter.symbol(0);
    const right = splitter.symbol(1);
    if (left < 0 || right < 0) continue;
    if (left >= size || right >= size) strange = id;
    lefts[id] = left;
    rights[id] = right;
    count++;
  }
  return { products: inOrder(vocabulary, lefts, count), lefts, rights, strange };
}

function hasRealSpace({ blob, offsets }: PieceTable, id: number): boolean {
  return blob.subarray(offsets[id], offsets[id + 1]).includes(UNMATCHED_SPACE);
}

/** What the splitter needs of a vocabulary. */
type Splittable = Pick<BpeModel, "merges" | "cuts" | "split">;

/** Splits the spelling of a piece by the merges of all the others. */
export class PieceSplitter {
  readonly #table: PieceTable;
  readonly #encoder: BpeEncoder;
  /** Pairs of a symbol and where it starts. */
  readonly #out = new IdBuffer();
  #start = 0;
  #whole = -1;

  constructor(vocabulary: Splittable, table: PieceTable) {
    this.#table = table;
    const { merges, cuts } = vocabulary;
    const { priorities, products } = merges;
    const find = (left: number, right: number): number => {
      const merge = merges.find(left, right);
      return merge >= 0 && products[merge] === this.#whole ? -1 : merge;
    };
    this.#encoder = new BpeEncoder({
      merges: { priorities, products, find },
      cuts,
      split: (bytes, start, end, ids, starts) => vocabulary.split(bytes, start, end, ids, starts),
      emit(symbol, _bytes, start, out) {
        out.push(symbol);
        out.push(start);
      },
    });
  }

  /** @returns number of symbols that the spelling of piece `id` becomes, which `symbol` and `offset` then tell of */
  split(id: number): number {
    const { blob, offsets } = this.#table;
    this.#out.length = 0;
    this.#whole = id;
    this.#start = offsets[id]!;
    this.#encoder.encodeUncut(blob, this.#start, offsets[id + 1]!, this.#out);
    return this.#out.length / 2;
  }

  /** Symbol `index`, −1 for a character that merges with nothing. */
  symbol(index: number): number {
    return this.#out.values[2 * index]!;
  }

  /** Bytes before symbol `index`. */
  offset(index: number): number {
    return this.#out.values[2 * index + 1]! - this.#start;
  }
}

/** By score, and the longest spelling first among equals. */
function inOrder({ merges, table }: Vocabulary, lefts: Int32Array, count: number): Int32Array {
  const keys = new Float64Array(count);
  let length = 0;
  lefts.forEach((left, id) => {
    if (left >= 0) keys[length++] = merges.priorities[id]! * PIECE_SPAN + id;
  });
  keys.sort();
  const ids = Int32Array.from(keys, (key) => key - Math.floor(key / PIECE_SPAN) * PIECE_SPAN);
  const lengthOf = (id: number): number => table.offsets[id + 1]! - table.offsets[id]!;
  for (let from = 0, to: number; from < count; from = to) {
    const priority = merges.priorities[ids[from]!]!;
    for (to = from + 1; to < count && merges.priorities[ids[to]!] === priority; ) to++;
    if (to > from + 1) ids.subarray(from, to).sort((a, b) => lengthOf(b) - lengthOf(a) || a - b);
  }
  return ids;
}

import { characterLength, joinCharacters, SPACE, SPACE_SYMBOL } from "../bpe/characters.ts";
import type { BpeModel, Cuts } from "../bpe/encoder.ts";
import type { IdBuffer } from "../bpe/id-buffer.ts";
import { PairMerges } from "../bpe/pair-merges.ts";
import { spaceAlphabet } from "./alphabets.ts";
import { joinsOf } from "./joins.ts";
import type { MergeList } from "./merge-reader.ts";
import type { Pieces } from "./pieces.ts";
import { type UnknownOptions, type Unknowns, unknownsOf } from "./unknowns.ts";

/** Symbols that never merge: a character that becomes its bytes, and one that becomes the unknown piece. */
const BYTES = -1;
const UNKNOWN = -2;

/** How a model treats the words that the pre-tokenizer leaves. */
export interface WordOptions extends UnknownOptions {
  /** A word that is a piece becomes that piece, whatever the merges say. */
  readonly ignoreMerges: boolean;
}

/** A vocabulary whose pieces are text, as in Llama 2. Its symbols are characters, and its words are whole stretches of
 *  text, or begin at every space. */
export class CharacterVocabulary implements BpeModel {
  readonly merges: PairMerges;
  readonly cuts: Cuts;
  readonly #pieces: Pieces;
  readonly #unknowns: Unknowns;
  readonly #ignoresMerges: boolean;
  /** `[128]` symbol of each ASCII character, −1 for none. */
  readonly #asciiSymbols = new Int32Array(128);

  /** @param splitsAtSpaces whether words begin at every space */
  constructor(pieces: Pieces, list: MergeList, options: WordOptions, splitsAtSpaces: boolean) {
    this.#pieces = pieces;
    this.#ignoresMerges = options.ignoreMerges;
    this.#unknowns = unknownsOf(options, pieces, list);
    this.merges = new PairMerges(list.lefts, list.rights, list.products);
    for (let byte = 0; byte < 128; byte++) this.#asciiSymbols[byte] = pieces.table.find(Uint8Array.of(byte), 0, 1);
    if (options.ignoreMerges) this.cuts = splitsAtSpaces ? beforeSpaces : wholeStretches;
    else {
      const isUnknown = (byte: number): boolean => byte >= 128 || this.#asciiSymbols[byte]! < 0;
      const joins = joinsOf(pieces.table, list, this.#unknowns, isUnknown);
      joinCharacters(joins);
      if (splitsAtSpaces) for (let last = 0; last < 256; last++) joins[(last << 8) | SPACE] = 0;
      this.cuts = { joins };
    }
  }

  split(bytes: Uint8Array, start: number, end: number, ids: Int32Array, starts: Int32Array): number {
    const { table } = this.#pieces;
    const { hasAllBytes, fuses } = this.#unknowns;
    let count = 0;
    /** Start of an unknown character that has no symbol yet. */
    let unknown = -1;
    for (let at = start, next: number; at < end; at = next) {
      const byte = bytes[at]!;
      next = at + characterLength(byte);
      const symbol = byte < 128 ? this.#asciiSymbols[byte]! : table.find(bytes, at, next);
      const isWhole = symbol >= 0 || hasAllBytes || this.#hasBytes(bytes, at, next);
      // The unknown piece comes behind byte pieces that follow it, as in the original, and with one more unknown
      // character only if they do not fuse.
      if (unknown >= 0 && (isWhole ? symbol >= 0 : !fuses)) {
        ids[count] = UNKNOWN;
        starts[count] = count > 0 && starts[count - 1]! > unknown ? at : unknown;
        count++;
        unknown = -1;
      }
      if (isWhole) {
        ids[count] = symbol >= 0 ? symbol : BYTES;
        starts[count++] = at;
      } else if (unknown < 0 && this.#unknowns.unkId >= 0) unknown = at;
    }
    if (unknown < 0) return count;
    ids[count] = UNKNOWN;
    starts[count] = count > 0 && starts[count - 1]! > unknown ? end : unknown;
    return count + 1;
  }

  emit(symbol: number, bytes: Uint8Array, start: number, out: IdBuffer): void {
    const { byteIds, unkId } = this.#unknowns;
    if (symbol >= 0) out.push(symbol);
    else if (symbol === UNKNOWN) out.push(unkId);
    else if (this.#hasSymbolAt(bytes, start)) for (const byte of SPACE_SYMBOL) out.push(byteIds[byte]!);
    else {
      const end = start + characterLength(bytes[start]!);
      for (let at = start; at < end; at++) out.push(byteIds[bytes[at]!]!);
    }
  }

  wordId(bytes: Uint8Array, start: number, end: number): number {
    return this.#ignoresMerges ? this.#pieces.table.find(bytes, start, end) : -1;
  }

  /** Whether all bytes of a character have pieces. */
  #hasBytes(bytes: Uint8Array, start: number, end: number): boolean {
    const { byteIds } = this.#unknowns;
    if (this.#hasSymbolAt(bytes, start)) return SPACE_SYMBOL.every((byte) => byteIds[byte]! >= 0);
    for (let at = start; at < end; at++) if (byteIds[bytes[at]!]! < 0) return false;
    return true;
  }

  /** Whether a byte stands for the three of `▁`. */
  #hasSymbolAt(bytes: Uint8Array, at: number): boolean {
    return bytes[at] === SPACE && this.#pieces.alphabet === spaceAlphabet;
  }
}

/** Cuts nothing, for words that are whole stretches of text. */
export const wholeStretches: Cuts = { next: (_bytes, _start, end) => end };

const beforeSpaces: Cuts = {
  next(bytes, start, end) {
    let at = start + 1;
    while (at < end && bytes[at] !== SPACE) at++;
    return at;
  },
};

import { TokenizerError } from "../errors.ts";
import { characterLength, escapeSpaces, joinCharacters, lastHash, SPACE, SPACE_SYMBOL, UNMATCHED_SPACE } from "../bpe/characters.ts";
import type { BpeModel } from "../bpe/encoder.ts";
import type { IdBuffer } from "../bpe/id-buffer.ts";
import { PieceTable } from "../bpe/piece-table.ts";
import { Kind, type SentencePieceModel, spellingOf } from "./model.ts";
import { SpellingMerges } from "./spelling-merges.ts";

/** Room for characters that are no pieces; the table grows past it. */
const LONE_CHARACTERS = 512;

/** A SentencePiece vocabulary as tables for the encoder. */
export class Vocabulary implements BpeModel {
  readonly merges: SpellingMerges;
  readonly cuts: { readonly joins: Uint8Array } = { joins: new Uint8Array(1 << 16) };
  /** Spellings by id; ids from `size` on are characters that occur in pieces but are none. */
  readonly table: PieceTable;
  /** Number of pieces. */
  readonly size: number;
  /** Values of `Kind`. */
  readonly kinds: Uint8Array;
  /** `[256]` id of each byte's piece, or the unknown id throughout if the model has none. */
  readonly byteIds: Int32Array = new Int32Array(256);
  /** Id of the unknown piece. */
  readonly unkId: number;
  readonly #byteFallback: boolean;
  /** `[128]` symbol of each ASCII character, −1 for none. */
  readonly #asciiSymbols = new Int32Array(128);

  constructor(model: SentencePieceModel) {
    this.size = model.kinds.length;
    this.kinds = model.kinds;
    this.unkId = model.kinds.indexOf(Kind.unknown);
    this.#byteFallback = model.trainer.byteFallback;
    joinCharacters(this.cuts.joins);
    this.table = buildTable(model, this.cuts.joins);
    this.#numberLoneCharacters();
    this.merges = new SpellingMerges(this.table, model.kinds, model.scores);
    for (let byte = 0; byte < 128; byte++) this.#asciiSymbols[byte] = this.#symbol(Uint8Array.of(byte), 0, 1);
    this.byteIds.fill(this.unkId);
    for (const id of model.special) {
      if (this.kinds[id] === Kind.byte) this.byteIds[parseInt(spellingOf(model, id).slice(3, 5), 16)] = id;
    }
  }

  /** Id of a piece spelled as in the file, or −1. */
  idOf(piece: string): number {
    const bytes = new TextEncoder().encode(piece);
    const id = this.table.find(bytes, 0, escapeSpaces(bytes, 0, bytes.length, bytes, 0));
    return id < this.size ? id : -1;
  }

  split(bytes: Uint8Array, start: number, end: number, ids: Int32Array, starts: Int32Array): number {
    let count = 0;
    for (let at = start; at < end; count++) {
      const byte = bytes[at]!;
      const next = at + characterLength(byte);
      starts[count] = at;
      ids[count] = byte < 128 ? this.#asciiSymbols[byte]! : this.#symbol(bytes, at, next);
      at = next;
    }
    return count;
  }

  emit(symbol: number, bytes: Uint8Array, start: number, out: IdBuffer): void {
    if (symbol >= 0 && symbol < this.size) {
      out.push(symbol);
    } else if (!this.#byteFallback) {
      out.push(this.unkId);
    } else if (bytes[start] === SPACE) {
      for (const byte of SPACE_SYMBOL) out.push(this.byteIds[byte]!);
    } else {
      const end = start + characterLength(bytes[start]!);
      for (let at = start; at < end; at++) out.push(this.byteIds[bytes[at]!]!);
    }
  }

  /** The symbol that one character of text starts as, or −1. */
  #symbol(bytes: Uint8Array, start: number, end: number): number {
    const id = this.table.find(bytes, start, end);
    return id >= this.size || this.kinds[id] === Kind.normal ? id : -1;
  }

  /** Sentencepiece merges spellings, so a character without a piece of its own can still become part of one: it gets a
   *  number beyond the ids. */
  #numberLoneCharacters(): void {
    const { table, kinds, size } = this;
    const seen = new Uint8Array(0x110000 >> 3);
    const blobEnd = table.offsets[size]!;
    for (let id = 0, at = 0; at < blobEnd; ) {
      const { blob } = table;
      const lead = blob[at]!;
      const next = at + characterLength(lead);
      while (table.offsets[id + 1]! <= at) id++;
      // No text has a space that is not `▁`.
      const code = lead < 0x80 ? lead : lead === UNMATCHED_SPACE ? 0 : codeOf(blob, at, next);
      if (code > 0 && (seen[code >> 3]! & (1 << (code & 7))) === 0 && kinds[id] === Kind.normal) {
        seen[code >> 3]! |= 1 << (code & 7);
        if (table.find(blob, at, next) < 0) table.add(blob, at, next);
      }
      at = next;
    }
  }
}

/** A number for each character; any number below 0x110000 that no other character has will do. */
function codeOf(bytes: Uint8Array, start: number, end: number): number {
  let code = bytes[start]! & (0xff >> (end - start));
  for (let at = start + 1; at < end; at++) code = (code << 6) | (bytes[at]! & 0x3f);
  return code;
}

/** Writes every piece into a table, with `▁` as one byte, and notes in `joins` which bytes stand side by side in pieces
 *  that merges can make. */
function buildTable(model: SentencePieceModel, joins: Uint8Array): PieceTable {
  const { file, starts, ends, kinds } = model;
  const table = new PieceTable(starts.length + LONE_CHARACTERS, file.length);
  for (let id = 0; id < starts.length; id++) {
    const to = table.room(ends[id]! - starts[id]!);
    const { blob } = table;
    const length = escapeSpaces(file, starts[id]!, ends[id]!, blob, to);
    if (kinds[id] === Kind.normal) {
      for (let at = to + 1; at < to + length; at++) joins[(blob[at - 1]! << 8) | blob[at]!] = 1;
    }
    if (table.commit(length, lastHash[0]!) >= 0) continue;
    const message = `tokenizer model: expected pieces that differ, got "${spellingOf(model, id)}" again at piece ${id}`;
    throw new TokenizerError("malformed-model", message, { piece: id });
  }
  return table;
}

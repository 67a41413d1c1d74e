import { TokenizerError } from "../errors.ts";
import { characterLength, escapeSpaces, joinCharacters, SPACE, SPACE_SYMBOL } from "../bpe/characters.ts";
import type { BpeModel } from "../bpe/encoder.ts";
import type { IdBuffer } from "../bpe/id-buffer.ts";
import { PieceTable } from "../bpe/piece-table.ts";
import { Kind, type SentencePieceModel, spellingOf } from "./model.ts";
import { SpellingMerges } from "./spelling-merges.ts";

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
    this.table = buildTable(model);
    joinCharacters(this.cuts.joins);
    this.#readNeighbours();
    this.merges = new SpellingMerges(this.table, model.kinds, model.scores);
    for (let byte = 0; byte < 128; byte++) this.#asciiSymbols[byte] = this.#symbol(Uint8Array.of(byte), 0, 1);
    this.byteIds.fill(this.unkId);
    for (let id = 0; id < this.size; id++) {
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

  /** Notes which characters stand side by side in pieces. Sentencepiece merges spellings, so a character without a
   *  piece of its own can still become part of one: it gets a number beyond the ids. */
  #readNeighbours(): void {
    const { table, kinds } = this;
    const { joins } = this.cuts;
    const knownAscii = new Uint8Array(128);
    for (let id = 0; id < this.size; id++) {
      if (kinds[id] !== Kind.normal) continue;
      const start = table.offsets[id]!;
      const end = table.offsets[id + 1]!;
      for (let at = start; at < end; ) {
        const lead = table.blob[at]!;
        const next = at + characterLength(lead);
        if (at > start) joins[(table.blob[at - 1]! << 8) | lead] = 1;
        if (lead >= 128 || knownAscii[lead] === 0) {
          if (next - at < end - start && table.find(table.blob, at, next) < 0) table.add(table.blob, at, next);
          if (lead < 128) knownAscii[lead] = 1;
        }
        at = next;
      }
    }
  }
}

function buildTable(model: SentencePieceModel): PieceTable {
  const { file, starts, ends } = model;
  const table = new PieceTable(starts.length, file.length);
  for (let i = 0; i < starts.length; i++) {
    const to = table.room(ends[i]! - starts[i]!);
    if (table.commit(escapeSpaces(file, starts[i]!, ends[i]!, table.blob, to)) >= 0) continue;
    const message = `tokenizer model: expected pieces that differ, got "${spellingOf(model, i)}" again at piece ${i}`;
    throw new TokenizerError("malformed-model", message, { piece: i });
  }
  return table;
}

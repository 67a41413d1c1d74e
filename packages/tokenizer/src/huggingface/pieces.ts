import { PieceTable } from "../bpe/piece-table.ts";
import { lastHash } from "../bpe/characters.ts";
import { type Alphabet, plainAlphabet } from "./alphabets.ts";
import type { Spellings } from "./spellings.ts";

/** No text and no piece has these bytes, except a file that was made to. */
const FOREIGN = [0xff, 0xfe] as const;
const ABSENT = [0xff, 0xfd] as const;
const Kind = { piece: 0, foreign: 1, absent: 2 } as const;

/** The pieces of a `tokenizer.json`, by id. */
export class Pieces {
  /** The encoder's bytes of each id. */
  readonly table: PieceTable;
  readonly alphabet: Alphabet;
  /** Values of `Kind`: a foreign piece has characters outside the alphabet, an absent one only keeps an id's place. */
  readonly #kinds: Uint8Array;
  #scratch = new Uint8Array(256);

  /** @param size number of ids  @param byteLength bytes that all spellings have together */
  constructor(alphabet: Alphabet, size: number, byteLength: number) {
    this.alphabet = alphabet;
    this.table = new PieceTable(size, byteLength + size);
    this.#kinds = new Uint8Array(size);
  }

  /** Adds the piece of the next id, spelled `bytes[start … end)`. @returns whether it differs from the others */
  add(bytes: Uint8Array, start: number, end: number): boolean {
    const { table } = this;
    const to = table.room(end - start + FOREIGN.length);
    const length = this.#write(bytes, start, end, table.blob, to);
    if (length < 0) this.#kinds[table.size] = Kind.foreign;
    return table.commit(Math.abs(length), lastHash[0]!) >= 0;
  }

  /** Leaves the next id without a piece. @returns whether its place is free */
  addAbsent(): boolean {
    const { table } = this;
    const id = table.size;
    this.#kinds[id] = Kind.absent;
    const bytes = Uint8Array.of(...ABSENT, id >>> 16, (id >>> 8) & 255, id & 255);
    return table.add(bytes, 0, bytes.length) >= 0;
  }

  /** Whether an id has a piece. */
  has(id: number): boolean {
    return this.#kinds[id] !== Kind.absent;
  }

  /** Id of the piece spelled `bytes[start … end)`, or −1. */
  find(bytes: Uint8Array, start: number, end: number): number {
    const room = end - start + FOREIGN.length;
    if (this.#scratch.length < room) this.#scratch = new Uint8Array(room * 2);
    const length = this.#write(bytes, start, end, this.#scratch, 0);
    const id = this.table.findHashed(lastHash[0]!, this.#scratch, 0, Math.abs(length));
    return id >= 0 && this.#kinds[id] === (length < 0 ? Kind.foreign : Kind.piece) ? id : -1;
  }

  /** Id of a piece, or −1. */
  idOf(piece: string): number {
    const bytes = new TextEncoder().encode(piece);
    return this.find(bytes, 0, bytes.length);
  }

  /** Spellings by id, empty where an id has no piece. @param size number of ids, from the vocabulary's on
   *  @param others spellings to put in the place of the pieces' */
  spellings(size: number, others: ReadonlyMap<number, string>): Spellings {
    const { table } = this;
    const encoded = new Map(Array.from(others, ([id, text]) => [id, new TextEncoder().encode(text)] as const));
    let room = table.offsets[table.size]! * 3;
    for (const bytes of encoded.values()) room += bytes.length;
    const bytes = new Uint8Array(room);
    const offsets = new Uint32Array(size + 1);
    for (let id = 0; id < size; id++) {
      const other = encoded.get(id);
      offsets[id + 1] = offsets[id]! + (other?.length ?? this.#spell(id, bytes, offsets[id]!));
      if (other !== undefined) bytes.set(other, offsets[id]);
    }
    return { bytes, offsets };
  }

  #spell(id: number, to: Uint8Array, toStart: number): number {
    const { blob, offsets } = this.table;
    if (id >= this.table.size) return 0;
    const start = offsets[id]!;
    const end = offsets[id + 1]!;
    const kind = this.#kinds[id];
    if (kind === Kind.absent) return 0;
    if (kind === Kind.piece) return this.alphabet.spell(blob, start, end, to, toStart);
    return plainAlphabet.spell(blob, start + FOREIGN.length, end, to, toStart);
  }

  /** @returns how many bytes, negative if the spelling has characters outside the alphabet */
  #write(bytes: Uint8Array, start: number, end: number, to: Uint8Array, toStart: number): number {
    const length = this.alphabet.encode(bytes, start, end, to, toStart);
    if (length >= 0) return length;
    to.set(FOREIGN, toStart);
    plainAlphabet.encode(bytes, start, end, to, toStart + FOREIGN.length);
    const foreignLength = FOREIGN.length + end - start;
    return -plainAlphabet.encode(to, toStart, toStart + foreignLength, to, toStart);
  }
}

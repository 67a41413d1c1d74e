import { ChunkCache, LONGEST_CACHED } from "./chunk-cache.ts";
import type { IdBuffer, RangeBuffer } from "./id-buffer.ts";
import { LongMerger } from "./merge-long.ts";
import { mergeShort, SHORT } from "./merge-short.ts";
import type { Merges } from "./merges.ts";

/** A space without a piece becomes the three bytes of `▁`. */
const IDS_PER_BYTE = 3;

/** Where text may be cut, so that no merge ever spans the cut. */
export type Cuts =
  /** `[65536]`, 1 at `last << 8 | first` if some merge may span a boundary between those two bytes. */
  | { readonly joins: Uint8Array }
  /** Ends of words: `next` gives one past the last byte of the word that starts at `start`. */
  | { next(bytes: Uint8Array, start: number, end: number): number };

/** What byte-pair encoding needs to know of a vocabulary. */
export interface BpeModel {
  readonly merges: Merges;
  readonly cuts: Cuts;
  /** Splits `bytes[start … end)` into symbols to merge: fills `ids` (−1 for one that never merges) and `starts`
   *  (its first byte). @returns how many; at most one a byte */
  split(bytes: Uint8Array, start: number, end: number, ids: Int32Array, starts: Int32Array): number;
  /** Appends the ids of a symbol left by the merges; at most three a byte. @param start where it begins in `bytes` */
  emit(symbol: number, bytes: Uint8Array, start: number, out: IdBuffer): void;
  /** Id of a word that needs no merges, or −1. */
  wordId?(bytes: Uint8Array, start: number, end: number): number;
}

/** Working memory for longer chunks, in symbols, is given back at once. */
const KEPT_SYMBOLS = 1 << 20;

/** Byte-pair encoding of whole documents. The text is cut wherever no merge can span the cut: the parts are then
 *  independent, each is encoded alone, and the short ones are remembered. */
export class BpeEncoder {
  readonly #model: BpeModel;
  readonly #cache = new ChunkCache();
  #longMerger: LongMerger | undefined;
  #ids = new Int32Array(SHORT);
  #starts = new Int32Array(SHORT);
  /** Hash of the chunk that was cut last. */
  #hash = 0;

  constructor(model: BpeModel) {
    this.#model = model;
  }

  /** Appends the ids of `bytes[start … end)`. */
  encode(bytes: Uint8Array, start: number, end: number, out: IdBuffer): void {
    const cache = this.#cache;
    for (let chunk = start, at: number; chunk < end; chunk = at) {
      at = this.#cut(bytes, chunk, end);
      if (at - chunk > LONGEST_CACHED) {
        this.#encodeChunk(bytes, chunk, at, out);
        continue;
      }
      let hash = this.#hash;
      hash = Math.imul(hash ^ (hash >>> 15), 0x2c1b3c6d);
      hash ^= hash >>> 13;
      out.reserve(LONGEST_CACHED * IDS_PER_BYTE);
      if (cache.recall(hash, bytes, chunk, at, out)) continue;
      const from = out.length;
      this.#encodeChunk(bytes, chunk, at, out);
      cache.remember(hash, bytes, chunk, at, out.values.subarray(from, out.length));
    }
  }

  /** The same, and which of the bytes each id came from. */
  encodeWithRanges(bytes: Uint8Array, start: number, end: number, out: IdBuffer, ranges: RangeBuffer): void {
    for (let chunk = start, at: number; chunk < end; chunk = at) {
      at = this.#cut(bytes, chunk, end);
      this.#encodeChunk(bytes, chunk, at, out, ranges);
    }
  }

  /** Appends the ids of `bytes[start … end)` without cuts and without memory: the plain algorithm. */
  encodeUncut(bytes: Uint8Array, start: number, end: number, out: IdBuffer): void {
    if (end > start) this.#encodeChunk(bytes, start, end, out);
  }

  /** End of the chunk that begins at `start`; its hash is in `#hash`. */
  #cut(bytes: Uint8Array, start: number, end: number): number {
    const cuts = this.#model.cuts;
    let at = start;
    let last = bytes[at++]!;
    let hash = last + 1;
    if ("joins" in cuts) {
      const joins = cuts.joins;
      while (at < end) {
        const byte = bytes[at]!;
        if (joins[(last << 8) | byte] === 0) break;
        hash = (Math.imul(hash, 0x01000193) + byte) | 0;
        last = byte;
        at++;
      }
    } else {
      const stop = cuts.next(bytes, start, end);
      const hashed = Math.min(stop, start + LONGEST_CACHED);
      while (at < hashed) hash = (Math.imul(hash, 0x01000193) + bytes[at++]!) | 0;
      at = stop;
    }
    this.#hash = hash;
    return at;
  }

  #encodeChunk(bytes: Uint8Array, start: number, end: number, out: IdBuffer, ranges?: RangeBuffer): void {
    const model = this.#model;
    const word = model.wordId?.(bytes, start, end) ?? -1;
    if (word >= 0) {
      out.push(word);
      ranges?.share(start, end, 1);
      return;
    }
    const room = end - start;
    if (this.#ids.length < room) {
      this.#ids = new Int32Array(room);
      this.#starts = new Int32Array(room);
    }
    const ids = this.#ids;
    const starts = this.#starts;
    const count = model.split(bytes, start, end, ids, starts);
    const left =
      count <= SHORT
        ? mergeShort(model.merges, ids, starts, count)
        : (this.#longMerger ??= new LongMerger(model.merges)).merge(ids, starts, count);
    for (let i = 0; i < left; i++) {
      const before = out.length;
      model.emit(ids[i]!, bytes, starts[i]!, out);
      ranges?.share(starts[i]!, i + 1 < left ? starts[i + 1]! : end, out.length - before);
    }
    if (room <= KEPT_SYMBOLS) return;
    this.#ids = new Int32Array(SHORT);
    this.#starts = new Int32Array(SHORT);
    this.#longMerger = undefined;
  }
}

import type { IdBuffer } from "./id-buffer.ts";

const SLOTS = 1 << 16;
const KEY_BYTES = 1 << 20;
const VALUE_IDS = 1 << 18;
/** A lookup tries this many slots, so that text made to collide costs a few compares and no more. */
const WAYS = 4;
const STRIDE = 4;
/** Longest chunk that is kept, in bytes. */
export const LONGEST_CACHED = 24;

/** Ids of chunks of text seen before. Bounded in size and in time for a lookup; when full it starts over. */
export class ChunkCache {
  /** Per slot: hash, key offset, key length | id count << 8 (0 when free), the id itself or where the ids start. */
  readonly #slots = new Int32Array(SLOTS * STRIDE);
  readonly #keys = new Uint8Array(KEY_BYTES);
  readonly #ids = new Int32Array(VALUE_IDS);
  #keysUsed = 0;
  #idsUsed = 0;

  /** Appends the ids of `bytes[start … end)` to `out` if they are known. @returns whether they were */
  recall(hash: number, bytes: Uint8Array, start: number, end: number, out: IdBuffer): boolean {
    const slots = this.#slots;
    const keys = this.#keys;
    const length = end - start;
    for (let way = 0; way < WAYS; way++) {
      const at = ((hash + way) & (SLOTS - 1)) * STRIDE;
      const shape = slots[at + 2]!;
      if (shape === 0) return false;
      if (slots[at] !== hash || (shape & 255) !== length) continue;
      const key = slots[at + 1]!;
      let i = 0;
      while (i < length && keys[key + i] === bytes[start + i]) i++;
      if (i < length) continue;
      this.#append(shape >>> 8, slots[at + 3]!, out);
      return true;
    }
    return false;
  }

  /** Remembers that `bytes[start … end)` gives `ids`; at most `LONGEST_CACHED` bytes. */
  remember(hash: number, bytes: Uint8Array, start: number, end: number, ids: Int32Array): void {
    const length = end - start;
    const count = ids.length;
    if (this.#keysUsed + length > KEY_BYTES || this.#idsUsed + count > VALUE_IDS) this.#clear();
    const at = this.#placeFor(hash) * STRIDE;
    const slots = this.#slots;
    slots[at] = hash;
    slots[at + 1] = this.#keysUsed;
    slots[at + 2] = length | (count << 8);
    for (let i = start; i < end; i++) this.#keys[this.#keysUsed++] = bytes[i]!;
    if (count === 1) {
      slots[at + 3] = ids[0]!;
      return;
    }
    slots[at + 3] = this.#idsUsed;
    this.#ids.set(ids, this.#idsUsed);
    this.#idsUsed += count;
  }

  #append(count: number, value: number, out: IdBuffer): void {
    if (count === 1) {
      out.values[out.length++] = value;
      return;
    }
    for (let i = 0; i < count; i++) out.values[out.length++] = this.#ids[value + i]!;
  }

  /** The first free slot of a hash, or its first slot when none is. */
  #placeFor(hash: number): number {
    for (let way = 0; way < WAYS; way++) {
      const slot = (hash + way) & (SLOTS - 1);
      if (this.#slots[slot * STRIDE + 2] === 0) return slot;
    }
    return hash & (SLOTS - 1);
  }

  #clear(): void {
    this.#slots.fill(0);
    this.#keysUsed = 0;
    this.#idsUsed = 0;
  }
}

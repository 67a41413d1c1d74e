import { TokenizerError } from "../errors.ts";

const HASH_BASE = 0x01000193;
/** Honest vocabularies stay below 50; more means a file made to collide, which would take quadratic time. */
const LONGEST_PROBE = 2000;

/** Extends a polynomial hash by one byte: `h' = h · base + byte + 1` modulo 2^32. It starts from 0. */
export function extendHash(hash: number, byte: number): number {
  return (Math.imul(hash, HASH_BASE) + byte + 1) | 0;
}

/** Byte strings numbered from 0, found again by content: an open-addressing table over one flat array of bytes. */
export class PieceTable {
  /** Number of strings. */
  size = 0;
  /** All strings, one after another. */
  blob: Uint8Array;
  /** String `i` is `blob[offsets[i] … offsets[i + 1])`. */
  offsets: Uint32Array;
  /** Polynomial hash of string `i`. */
  #hashes: Int32Array;
  #slots: Int32Array;
  /** `base^k` modulo 2^32, for `k` up to the longest string's length and beyond. */
  #powers = new Int32Array(0);
  #longest = 0;

  /** @param capacity strings and @param byteCapacity bytes expected; the table grows past both */
  constructor(capacity: number, byteCapacity: number) {
    this.blob = new Uint8Array(byteCapacity);
    this.offsets = new Uint32Array(capacity + 1);
    this.#hashes = new Int32Array(capacity);
    this.#slots = new Int32Array(slotCount(capacity));
  }

  /** Adds `bytes[start … end)`. @returns its number, or −1 if it is there already */
  add(bytes: Uint8Array, start: number, end: number): number {
    const offset = this.room(end - start);
    let hash = 0;
    for (let i = start; i < end; i++) {
      this.blob[offset + i - start] = bytes[i]!;
      hash = extendHash(hash, bytes[i]!);
    }
    return this.commit(end - start, hash);
  }

  /** Makes room for one more string of up to `length` bytes. @returns where in `blob` to write it before `commit` */
  room(length: number): number {
    this.#reserve(this.size + 1, this.offsets[this.size]! + length);
    return this.offsets[this.size]!;
  }

  /** Adds the `length` bytes written after `room`.
   *  @param hash of them, by `extendHash`  @returns the string's number, or −1 if it is there already */
  commit(length: number, hash: number): number {
    const id = this.size;
    const { blob } = this;
    const start = this.offsets[id]!;
    const end = start + length;
    if (this.findHashed(hash, blob, start, end) >= 0) return -1;
    if (length > this.#longest) this.#extendPowers(length);
    this.offsets[id + 1] = end;
    this.#hashes[id] = hash;
    this.size = id + 1;
    this.#insert(id);
    return id;
  }

  /** Number of the string `bytes[start … end)`, or −1. */
  find(bytes: Uint8Array, start: number, end: number): number {
    let hash = 0;
    for (let i = start; i < end; i++) hash = extendHash(hash, bytes[i]!);
    return this.findHashed(hash, bytes, start, end);
  }

  /** Number of the string that strings `left` and `right` make together, or −1. The hash of a joined string is
   *  `hash(left) · base^|right| + hash(right)`, so only a string that has it is compared. */
  findJoined(left: number, right: number): number {
    const { blob, offsets } = this;
    const leftStart = offsets[left]!;
    const leftLength = offsets[left + 1]! - leftStart;
    const rightStart = offsets[right]!;
    const rightLength = offsets[right + 1]! - rightStart;
    const length = leftLength + rightLength;
    if (length > this.#longest) return -1;
    const hash = (Math.imul(this.#hashes[left]!, this.#powers[rightLength]!) + this.#hashes[right]!) | 0;
    const slots = this.#slots;
    const mask = slots.length - 1;
    for (let slot = slotOf(hash) & mask; ; slot = (slot + 1) & mask) {
      const id = slots[slot]! - 1;
      if (id < 0) return -1;
      if (this.#hashes[id] !== hash) continue;
      const start = offsets[id]!;
      if (offsets[id + 1]! - start !== length) continue;
      if (!sameBytes(blob, start, leftStart, leftLength)) continue;
      if (sameBytes(blob, start + leftLength, rightStart, rightLength)) return id;
    }
  }

  /** `find` for bytes whose hash is known. */
  findHashed(hash: number, bytes: Uint8Array, start: number, end: number): number {
    const slots = this.#slots;
    const hashes = this.#hashes;
    const mask = slots.length - 1;
    for (let slot = slotOf(hash) & mask; ; slot = (slot + 1) & mask) {
      const id = slots[slot]! - 1;
      if (id < 0) return -1;
      if (hashes[id] === hash && this.#equals(id, bytes, start, end)) return id;
    }
  }

  #equals(id: number, bytes: Uint8Array, start: number, end: number): boolean {
    const offset = this.offsets[id]!;
    const length = end - start;
    if (this.offsets[id + 1]! - offset !== length) return false;
    for (let i = 0; i < length; i++) if (this.blob[offset + i] !== bytes[start + i]) return false;
    return true;
  }

  #insert(id: number): void {
    const slots = this.#slots;
    const mask = slots.length - 1;
    let slot = slotOf(this.#hashes[id]!) & mask;
    for (let probes = 0; slots[slot] !== 0; probes++) {
      if (probes > LONGEST_PROBE) {
        const message = `tokenizer model: over ${LONGEST_PROBE} pieces share one hash: the file was made to be slow`;
        throw new TokenizerError("malformed-model", message);
      }
      slot = (slot + 1) & mask;
    }
    slots[slot] = id + 1;
  }

  #extendPowers(longest: number): void {
    if (longest >= this.#powers.length) {
      const powers = new Int32Array(longest * 2);
      powers[0] = 1;
      for (let k = 1; k < powers.length; k++) powers[k] = Math.imul(powers[k - 1]!, HASH_BASE);
      this.#powers = powers;
    }
    this.#longest = longest;
  }

  #reserve(strings: number, bytes: number): void {
    if (bytes > this.blob.length) {
      const blob = new Uint8Array(bytes * 2);
      blob.set(this.blob);
      this.blob = blob;
    }
    if (strings <= this.#hashes.length) return;
    const offsets = new Uint32Array(strings * 2 + 1);
    offsets.set(this.offsets);
    this.offsets = offsets;
    const hashes = new Int32Array(strings * 2);
    hashes.set(this.#hashes);
    this.#hashes = hashes;
    this.#slots = new Int32Array(slotCount(strings * 2));
    for (let id = 0; id < this.size; id++) this.#insert(id);
  }
}

function sameBytes(blob: Uint8Array, a: number, b: number, length: number): boolean {
  for (let i = 0; i < length; i++) if (blob[a + i] !== blob[b + i]) return false;
  return true;
}

/** The low bits of a polynomial hash depend on the last bytes alone; this spreads all of them. */
function slotOf(hash: number): number {
  const mixed = Math.imul(hash ^ (hash >>> 15), 0x2c1b3c6d);
  return mixed ^ (mixed >>> 13);
}

function slotCount(capacity: number): number {
  let slots = 16;
  while (slots < capacity * 2) slots *= 2;
  return slots;
}

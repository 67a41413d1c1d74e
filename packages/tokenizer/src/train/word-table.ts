import { FIRST_ROOM, grown, randomMultiplier } from "./grown.ts";

/** Numbers of one slot: two of the key, the word's number plus one (0 when free), and occurrences. */
const STRIDE = 4;
const STRIDE_BITS = 2;
/** Words of up to this many bytes are their own key. */
const SHORT = 8;
/** Second half of the key of longer words, whose first is a hash: these bytes are in no UTF-8. */
const LONG = -1;
/** Occurrences that a slot holds before they are moved elsewhere, so that their sum may pass 32 bits. */
const FULL_COUNT = 1 << 16;

/** How often each word of a text occurs; a word is a string of bytes other than zero. */
export class WordTable {
  /** Number of different words. */
  size = 0;
  /** All words, one after another. */
  blob: Uint8Array = new Uint8Array(FIRST_ROOM);
  /** Word `i` is `blob[offsets[i] … offsets[i + 1])`. */
  offsets: Uint32Array = new Uint32Array(FIRST_ROOM);
  #slots = new Int32Array(FIRST_ROOM * STRIDE);
  /** Occurrences by word beyond those in its slot. */
  #overflow = new Map<number, number>();
  readonly #multiplier = randomMultiplier();
  readonly #otherMultiplier = randomMultiplier();

  /** Counts one more `bytes[start … end)`.
   *  @param view of `bytes`, which have at least eight more after the last word
   *  @returns whether the word is new */
  count(bytes: Uint8Array, view: DataView, start: number, end: number): boolean {
    const length = end - start;
    let low = view.getInt32(start, true);
    let high = LONG;
    if (length > SHORT) low = this.#hash(view, start, end);
    else if (length > 4) high = view.getInt32(start + 4, true) & (-1 >>> (8 * (SHORT - length)));
    else {
      low &= -1 >>> (8 * (4 - length));
      high = 0;
    }
    const slots = this.#slots;
    const mask = slots.length - 1;
    let slot = this.#slotOf(low, high) & mask;
    for (; slots[slot + 2] !== 0; slot = (slot + STRIDE) & mask) {
      if (slots[slot] !== low || slots[slot + 1] !== high) continue;
      if (high === LONG && !this.#equals(slots[slot + 2]! - 1, bytes, start, end)) continue;
      if (++slots[slot + 3]! === FULL_COUNT) this.#empty(slot);
      return false;
    }
    slots[slot] = low;
    slots[slot + 1] = high;
    slots[slot + 2] = this.size + 1;
    slots[slot + 3] = 1;
    this.#append(bytes, start, end);
    return true;
  }

  /** Occurrences of each word. */
  counts(): Float64Array {
    const counts = new Float64Array(this.size);
    for (const [id, count] of this.#overflow) counts[id] = count;
    const slots = this.#slots;
    for (let slot = 0; slot < slots.length; slot += STRIDE) {
      const id = slots[slot + 2]! - 1;
      if (id >= 0) counts[id]! += slots[slot + 3]!;
    }
    return counts;
  }

  /** Keeps only the words whose `counts` are above `most`. */
  prune(counts: Float64Array, most: number): void {
    const newIds = new Int32Array(this.size);
    const { blob, offsets } = this;
    const overflow = new Map<number, number>();
    let size = 0;
    let length = 0;
    for (let id = 0; id < this.size; id++) {
      if (counts[id]! <= most) continue;
      if (this.#overflow.has(id)) overflow.set(size, this.#overflow.get(id)!);
      const start = offsets[id]!;
      const end = offsets[id + 1]!;
      blob.copyWithin(length, start, end);
      offsets[size++] = length;
      length += end - start;
      newIds[id] = size;
    }
    offsets[size] = length;
    this.size = size;
    this.#overflow = overflow;
    const old = this.#slots;
    for (let slot = 0; slot < old.length; slot += STRIDE) {
      if (old[slot + 2] !== 0) old[slot + 2] = newIds[old[slot + 2]! - 1]!;
    }
    this.#refill(old, old.length);
  }

  #equals(id: number, bytes: Uint8Array, start: number, end: number): boolean {
    const { blob, offsets } = this;
    const from = offsets[id]!;
    const length = end - start;
    if (offsets[id + 1]! - from !== length) return false;
    for (let i = 0; i < length; i++) if (blob[from + i] !== bytes[start + i]) return false;
    return true;
  }

  /** Polynomial hash of four bytes at a time, the last four overlapping those before. */
  #hash(view: DataView, start: number, end: number): number {
    const multiplier = this.#multiplier;
    let hash = end - start;
    for (let at = start; at < end - 4; at += 4) hash = (Math.imul(hash, multiplier) + view.getInt32(at, true)) | 0;
    return (Math.imul(hash, multiplier) + view.getInt32(end - 4, true)) | 0;
  }

  /** Where a key's search begins, before the mask: a multiple of the stride. */
  #slotOf(low: number, high: number): number {
    const mixed = Math.imul(low, this.#multiplier) ^ Math.imul(high, this.#otherMultiplier);
    return (mixed ^ (mixed >>> 15)) << STRIDE_BITS;
  }

  #empty(slot: number): void {
    const id = this.#slots[slot + 2]! - 1;
    this.#overflow.set(id, (this.#overflow.get(id) ?? 0) + FULL_COUNT);
    this.#slots[slot + 3] = 0;
  }

  #append(bytes: Uint8Array, start: number, end: number): void {
    const id = this.size++;
    const from = this.offsets[id]!;
    const to = from + end - start;
    if (to > this.blob.length) this.blob = grown(this.blob, to * 2);
    for (let i = start; i < end; i++) this.blob[from + i - start] = bytes[i]!;
    if (id + 1 === this.offsets.length) this.offsets = grown(this.offsets, id * 2);
    this.offsets[id + 1] = to;
    if (this.size * STRIDE * 2 > this.#slots.length) this.#refill(this.#slots, this.#slots.length * 2);
  }

  /** Puts the slots that are in use into a table of `length` numbers. */
  #refill(old: Int32Array, length: number): void {
    const slots = new Int32Array(length);
    this.#slots = slots;
    for (let from = 0; from < old.length; from += STRIDE) {
      if (old[from + 2] === 0) continue;
      let slot = this.#slotOf(old[from]!, old[from + 1]!) & (length - 1);
      while (slots[slot + 2] !== 0) slot = (slot + STRIDE) & (length - 1);
      for (let i = 0; i < STRIDE; i++) slots[slot + i] = old[from + i]!;
    }
  }
}

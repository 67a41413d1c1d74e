import { assignSlice, concat, disposeTree, keep, scope, ShapeError, slice, zeros, type Device, type DType, type Tensor } from "@danu/tensor";

import { attention } from "./attention.ts";
import { attendNext } from "./cached-attention.ts";

/** Sizes of a cache for one attention layer. */
export interface KeyValueCacheOptions {
  readonly batch: number;
  readonly keyValueHeads: number;
  readonly headDim: number;
  /** Longest text in positions; with a window, memory does not grow with it. */
  readonly maxPositions: number;
  readonly slidingWindow?: number | null;
  readonly dtype?: DType;
}

/** Positions that there is room for at first; the room doubles whenever it is used up. */
const firstRoom = 256;

/** What a layer attends to beside its own input. */
export interface AttentionCache {
  /** Appends the keys and values of T new positions and returns the attention of their queries.
   *  @param q `[B, T, H, D]`  @param k `[B, T, G, D]`, rotated  @param v `[B, T, G, D]`  @returns `[B, T, H, D]`
   *  @throws ShapeError when the text would become longer than the cache is made for */
  attend(q: Tensor, k: Tensor, v: Tensor): Tensor;
}

/** Caches of several texts as one, for their next positions together: row b of the batch goes to cache b, wherever its
 *  text has come to. */
export function joinCaches(caches: readonly AttentionCache[]): AttentionCache {
  return {
    attend: (q, k, v) => scope(() => concat(caches.map((cache, b) => {
      const row = (x: Tensor): Tensor => slice(x, 0, b, b + 1);
      return cache.attend(row(q), row(k), row(v));
    }), 0)),
  };
}

/** Keys and values of the positions seen so far, for generation one or a few tokens at a time.
 *
 *  With a sliding window only the keys that a later query can still see are kept: the memory holds the window and some
 *  room, and the window moves back to its start whenever the room is used up. */
export class KeyValueCache implements AttentionCache, Disposable {
  readonly #device: Device;
  readonly #options: Required<KeyValueCacheOptions>;
  /** Most positions kept at once. */
  readonly #capacity: number;
  #keys: Tensor;
  #values: Tensor;
  #seen = 0;
  #stored = 0;

  constructor(device: Device, options: KeyValueCacheOptions) {
    this.#device = device;
    this.#options = { slidingWindow: null, dtype: "f32", ...options };
    const { maxPositions, slidingWindow } = this.#options;
    this.#capacity = slidingWindow === null ? maxPositions : Math.min(maxPositions, 2 * slidingWindow);
    const room = Math.min(firstRoom, this.#capacity);
    this.#keys = this.#empty(room);
    this.#values = this.#empty(room);
  }

  /** Positions seen so far. */
  get length(): number {
    return this.#seen;
  }

  /** Positions that the memory has room for; where it is another, the memory has moved. */
  get room(): number {
    return this.#keys.shape[1]!;
  }

  /** Positions that still fit without the memory moving. */
  get spare(): number {
    return Math.min(this.room - this.#stored, this.#options.maxPositions - this.#seen);
  }

  /** @throws ShapeError when the text would become longer than `maxPositions` */
  attend(q: Tensor, k: Tensor, v: Tensor): Tensor {
    const T = q.shape[1]!;
    this.#checkLength(T);
    if (this.#stored + T > this.#capacity) return this.#attendBeyond(q, k, v);
    const start = this.#take(T);
    assignSlice(this.#keys, k, 1, start);
    assignSlice(this.#values, v, 1, start);
    const { slidingWindow } = this.#options;
    // A whole text, whose keys lie one after another: devices are faster with these.
    if (start === 0) return attention(q, k, v, { slidingWindow });
    return attention(q, this.#keys, this.#values, { slidingWindow, keyLength: this.#stored });
  }

  /** Makes room for one more position, which counts as seen from now on: `attendNext` is then called for it.
   *  @returns positions stored before it  @throws ShapeError when the text would become longer than `maxPositions` */
  next(): number {
    this.#checkLength(1);
    if (this.#stored + 1 > this.#capacity) this.#moveWindow();
    return this.#take(1);
  }

  /** `attend` for the position that `next` made room for, the same work each time while the memory stays where it is.
   *  @param q `[B, 1, H, D]`  @param k, v `[B, 1, G, D]`  @param stored what `next` returned, i32 `[1]` */
  attendNext(q: Tensor, k: Tensor, v: Tensor, stored: Tensor): Tensor {
    return attendNext(q, [this.#keys, this.#values], [k, v], stored, this.#options.slidingWindow);
  }

  /** Forgets the positions from `length` on, for another text with the same beginning. Where the window has moved past
   *  keys that the next position would see, everything is forgotten.
   *  @returns positions still seen: `length`, or 0  @throws ShapeError for more positions than were seen */
  rewind(length: number): number {
    if (!(Number.isInteger(length) && length >= 0 && length <= this.#seen)) {
      throw new ShapeError(`key-value cache: expected to go back to one of ${this.#seen} positions, got ${length}`);
    }
    const { slidingWindow } = this.#options;
    const firstStored = this.#seen - this.#stored;
    const firstVisible = slidingWindow === null ? 0 : Math.max(0, length - slidingWindow + 1);
    const kept = firstVisible >= firstStored ? length : 0;
    this.#stored = kept === 0 ? 0 : kept - firstStored;
    this.#seen = kept;
    return kept;
  }

  #checkLength(T: number): void {
    const { maxPositions } = this.#options;
    if (this.#seen + T > maxPositions) {
      throw new ShapeError(`key-value cache: ${this.#seen} + ${T} positions exceed its ${maxPositions}; start a new one`);
    }
  }

  /** Counts T positions as stored and seen. @returns where the first of them goes */
  #take(T: number): number {
    this.#grow(this.#stored + T);
    this.#stored += T;
    this.#seen += T;
    return this.#stored - T;
  }

  /** Moves the last keys a query can see to the front. */
  #moveWindow(): void {
    const window = this.#options.slidingWindow!;
    scope(() => {
      const start = Math.max(0, this.#stored - window);
      for (const store of [this.#keys, this.#values]) assignSlice(store, slice(store, 1, start, this.#stored), 1, 0);
      this.#stored -= start;
    });
  }

  /** Makes room by moving the window; long inputs go through in pieces of one. */
  #attendBeyond(q: Tensor, k: Tensor, v: Tensor): Tensor {
    this.#moveWindow();
    const room = this.#capacity - this.#stored;
    const T = q.shape[1]!;
    if (T <= room) return this.attend(q, k, v);
    return scope(() => {
      const part = (from: number, to: number): Tensor => (
        this.attend(slice(q, 1, from, to), slice(k, 1, from, to), slice(v, 1, from, to))
      );
      const pieces: Tensor[] = [];
      for (let from = 0; from < T; from += room) pieces.push(part(from, Math.min(T, from + room)));
      return concat(pieces, 1);
    });
  }

  #grow(positions: number): void {
    let room = this.#keys.shape[1]!;
    if (positions <= room) return;
    while (room < positions) room = Math.min(2 * room, this.#capacity);
    this.#keys = this.#moved(this.#keys, room);
    this.#values = this.#moved(this.#values, room);
  }

  #moved(store: Tensor, room: number): Tensor {
    const larger = this.#empty(room);
    scope(() => assignSlice(larger, slice(store, 1, 0, this.#stored), 1, 0));
    store.dispose();
    return larger;
  }

  #empty(room: number): Tensor {
    const { batch, keyValueHeads, headDim, dtype } = this.#options;
    return keep(zeros(this.#device, [batch, room, keyValueHeads, headDim], dtype));
  }

  [Symbol.dispose](): void {
    disposeTree([this.#keys, this.#values]);
  }
}

import { assignSlice, concat, disposeTree, keep, scope, ShapeError, slice, zeros, type Device, type DType, type Tensor } from "@danu/tensor";

import { attention } from "./attention.ts";

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

  /** @throws ShapeError when the text would become longer than `maxPositions` */
  attend(q: Tensor, k: Tensor, v: Tensor): Tensor {
    const T = q.shape[1]!;
    const { maxPositions, slidingWindow } = this.#options;
    if (this.#seen + T > maxPositions) {
      throw new ShapeError(`key-value cache: ${this.#seen} + ${T} positions exceed its ${maxPositions}; start a new one`);
    }
    if (this.#stored + T > this.#capacity) return this.#attendBeyond(q, k, v);
    this.#grow(this.#stored + T);
    assignSlice(this.#keys, k, 1, this.#stored);
    assignSlice(this.#values, v, 1, this.#stored);
    this.#stored += T;
    this.#seen += T;
    return attention(q, this.#keys, this.#values, { slidingWindow, keyLength: this.#stored });
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

  /** Makes room by moving the last keys a query can see to the front; long inputs go through in pieces of a window. */
  #attendBeyond(q: Tensor, k: Tensor, v: Tensor): Tensor {
    const window = this.#options.slidingWindow!;
    scope(() => {
      const start = Math.max(0, this.#stored - window);
      for (const store of [this.#keys, this.#values]) assignSlice(store, slice(store, 1, start, this.#stored), 1, 0);
      this.#stored -= start;
    });
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

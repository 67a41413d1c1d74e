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

/** Keys and values of the positions seen so far, for generation one or a few tokens at a time.
 *
 *  With a sliding window only the keys that a later query can still see are kept: the memory holds the window and some
 *  room, and the window moves back to its start whenever the room is used up. */
export class KeyValueCache implements Disposable {
  readonly #keys: Tensor;
  readonly #values: Tensor;
  readonly #slidingWindow: number | null;
  readonly #maxPositions: number;
  #seen = 0;
  #stored = 0;

  constructor(device: Device, options: KeyValueCacheOptions) {
    const { batch, keyValueHeads, headDim, maxPositions, slidingWindow = null, dtype = "f32" } = options;
    this.#slidingWindow = slidingWindow;
    this.#maxPositions = maxPositions;
    const capacity = slidingWindow === null ? maxPositions : Math.min(maxPositions, 2 * slidingWindow);
    const shape = [batch, capacity, keyValueHeads, headDim];
    this.#keys = keep(zeros(device, shape, dtype));
    this.#values = keep(zeros(device, shape, dtype));
  }

  /** Positions seen so far. */
  get length(): number {
    return this.#seen;
  }

  /** Appends the keys and values of T new positions and returns the attention of their queries.
   *  @param q `[B, T, H, D]`  @param k `[B, T, G, D]`, rotated  @param v `[B, T, G, D]`  @returns `[B, T, H, D]`
   *  @throws ShapeError when the text would become longer than `maxPositions` */
  attend(q: Tensor, k: Tensor, v: Tensor): Tensor {
    const T = q.shape[1]!;
    if (this.#seen + T > this.#maxPositions) {
      throw new ShapeError(`key-value cache: ${this.#seen} + ${T} positions exceed its ${this.#maxPositions}; start a new one`);
    }
    const slidingWindow = this.#slidingWindow;
    if (this.#stored + T > this.#keys.shape[1]!) return this.#attendBeyond(q, k, v);
    assignSlice(this.#keys, k, 1, this.#stored);
    assignSlice(this.#values, v, 1, this.#stored);
    this.#stored += T;
    this.#seen += T;
    return attention(q, this.#keys, this.#values, { slidingWindow, keyLength: this.#stored });
  }

  /** Makes room by moving the last keys a query can see to the front; long inputs go through in pieces of a window. */
  #attendBeyond(q: Tensor, k: Tensor, v: Tensor): Tensor {
    const window = this.#slidingWindow!;
    scope(() => {
      const start = Math.max(0, this.#stored - window);
      for (const store of [this.#keys, this.#values]) assignSlice(store, slice(store, 1, start, this.#stored), 1, 0);
      this.#stored -= start;
    });
    const room = this.#keys.shape[1]! - this.#stored;
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

  [Symbol.dispose](): void {
    disposeTree([this.#keys, this.#values]);
  }
}

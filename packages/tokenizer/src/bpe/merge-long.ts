import { MergeQueue } from "./merge-queue.ts";
import type { Merges } from "./merges.ts";

const NEVER = -1;
/** More merges than a vocabulary can have; with 32 bits of priority it fits a double. */
const MERGE_SPAN = 2 ** 21;

/** Merges long runs of symbols in time proportional to their length, with the same result as `mergeShort`:
 *  a linked list of symbols, and a queue of the pairs by rank and place. */
export class LongMerger {
  readonly #merges: Merges;
  /** By merge: its priority's place among all priorities. */
  readonly #rankOf: Int32Array;
  readonly #queue: MergeQueue;
  #next = new Int32Array(0);
  #previous = new Int32Array(0);
  /** Rank of the pair that starts at a symbol, as the list stands now. */
  #ranks = new Int32Array(0);
  /** The merge of that pair. */
  #found = new Int32Array(0);

  constructor(merges: Merges) {
    const ranks = denseRanks(merges.priorities);
    this.#merges = merges;
    this.#rankOf = ranks.of;
    this.#queue = new MergeQueue(ranks.count);
  }

  /** See `mergeShort`. */
  merge(ids: Int32Array, starts: Int32Array, n: number): number {
    this.#reserve(n);
    this.#link(ids, n);
    const queue = this.#queue;
    const products = this.#merges.products;
    const next = this.#next;
    const previous = this.#previous;
    for (let at = queue.pop(); at >= 0; at = queue.pop()) {
      // Of two entries for one place only the one that matches the pair there now still counts.
      if (this.#ranks[at] !== queue.rank) continue;
      const gone = next[at]!;
      const after = next[gone]!;
      ids[at] = products[this.#found[at]!]!;
      ids[gone] = NEVER;
      this.#ranks[gone] = NEVER;
      next[at] = after;
      if (after < n) previous[after] = at;
      this.#rate(ids, at, after, n);
      if (previous[at]! >= 0) this.#rate(ids, previous[at]!, at, n);
    }
    return this.#compact(ids, starts, n);
  }

  #link(ids: Int32Array, n: number): void {
    for (let i = n - 1; i >= 0; i--) {
      this.#next[i] = i + 1;
      this.#previous[i] = i - 1;
      this.#rate(ids, i, i + 1, n);
    }
  }

  #rate(ids: Int32Array, left: number, right: number, n: number): void {
    const merge = right < n ? this.#merges.find(ids[left]!, ids[right]!) : -1;
    if (merge < 0) {
      this.#ranks[left] = NEVER;
      return;
    }
    const rank = this.#rankOf[merge]!;
    this.#ranks[left] = rank;
    this.#found[left] = merge;
    this.#queue.push(rank, left);
  }

  #compact(ids: Int32Array, starts: Int32Array, n: number): number {
    let count = 0;
    for (let i = 0; i < n; i = this.#next[i]!) {
      ids[count] = ids[i]!;
      starts[count++] = starts[i]!;
    }
    return count;
  }

  #reserve(n: number): void {
    if (this.#next.length >= n) return;
    this.#next = new Int32Array(n);
    this.#previous = new Int32Array(n);
    this.#ranks = new Int32Array(n);
    this.#found = new Int32Array(n);
  }
}

/** Numbers the distinct priorities from 0. Sorts one double per merge, priority and merge number together, because
 *  sorting with a comparison is ten times as slow. */
function denseRanks(priorities: Int32Array): { of: Int32Array; count: number } {
  const keys = Float64Array.from(priorities, (priority, merge) => priority * MERGE_SPAN + merge).sort();
  const of = new Int32Array(keys.length);
  let rank = -1;
  let last = NaN;
  for (const key of keys) {
    const priority = Math.floor(key / MERGE_SPAN);
    if (priority !== last) rank++;
    last = priority;
    of[key - priority * MERGE_SPAN] = rank;
  }
  return { of, count: rank + 1 };
}

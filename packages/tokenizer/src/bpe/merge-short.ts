import type { Merges } from "./merges.ts";

/** Symbols that `mergeShort` takes at most. */
export const SHORT = 64;
/** Above the priority of every merge. */
const NEVER = 0x7fffffff;
/** Per symbol: the one on its right, the merge with that one, and the merge's priority. */
const next = new Int32Array(SHORT);
const found = new Int32Array(SHORT);
const priorities = new Int32Array(SHORT);

/** Merges the pair of lowest priority, leftmost first among equals, until none is left. Quadratic, and the fastest for
 *  words. Works in place.
 *  @param ids `[n]` symbols, −1 for one that never merges  @param starts `[n]` a number that each symbol carries along
 *  @returns how many symbols remain at the front of both arrays */
export function mergeShort(merges: Merges, ids: Int32Array, starts: Int32Array, n: number): number {
  for (let i = 0; i < n; i++) {
    next[i] = i + 1;
    rate(merges, ids, i, n);
  }
  for (;;) {
    let best = NEVER;
    let at = -1;
    let before = -1;
    for (let i = 0, previous = -1; i < n; previous = i, i = next[i]!) {
      if (priorities[i]! >= best) continue;
      best = priorities[i]!;
      at = i;
      before = previous;
    }
    if (at < 0) break;
    ids[at] = merges.products[found[at]!]!;
    next[at] = next[next[at]!]!;
    rate(merges, ids, at, n);
    if (before >= 0) rate(merges, ids, before, n);
  }
  let count = 0;
  for (let i = 0; i < n; i = next[i]!) {
    ids[count] = ids[i]!;
    starts[count++] = starts[i]!;
  }
  return count;
}

function rate(merges: Merges, ids: Int32Array, i: number, n: number): void {
  const merge = next[i]! < n ? merges.find(ids[i]!, ids[next[i]!]!) : -1;
  found[i] = merge;
  priorities[i] = merge < 0 ? NEVER : merges.priorities[merge]!;
}

import { FIRST_ROOM, grown } from "./grown.ts";
import type { SpellingTable } from "./spelling-table.ts";

/** How far below the best the waiting pairs are let into the heap. */
const FLOOR_RATIO = 8;

/** How often each pair of neighbours occurs, by the number of what they make, and which occurs most. Among equals the
 *  fewer characters come first, then the lower code points.
 *
 *  Counts change far more often than the best is asked for, so the heap holds what was true once: an entry too high is
 *  put right when it comes up, and a count that rose past its entry gets another. Most pairs are rare and never come
 *  up: the heap holds none below a floor, which sinks when it is empty. */
export class PairQueue {
  /** Occurrences by spelling. */
  counts: Float64Array = new Float64Array(FIRST_ROOM);
  readonly #spellings: SpellingTable;
  /** Count of each spelling's valid entry in the heap, 0 for none. */
  #queued = new Float64Array(FIRST_ROOM);
  #heapIds = new Int32Array(FIRST_ROOM);
  #heapCounts = new Float64Array(FIRST_ROOM);
  #heapSize = 0;
  #floor = Infinity;
  /** Spellings whose count rose since the best was asked for. */
  #risen = new Int32Array(FIRST_ROOM);
  #risenSize = 0;

  constructor(spellings: SpellingTable) {
    this.#spellings = spellings;
  }

  /** Adds `count` occurrences. */
  add(spelling: number, count: number): void {
    if (spelling >= this.counts.length) {
      this.counts = grown(this.counts, spelling * 2);
      this.#queued = grown(this.#queued, spelling * 2);
    }
    const total = this.counts[spelling]! + count;
    this.counts[spelling] = total;
    if (total < this.#floor || total <= this.#queued[spelling]!) return;
    if (this.#risenSize === this.#risen.length) this.#risen = grown(this.#risen, this.#risenSize * 2);
    this.#risen[this.#risenSize++] = spelling;
  }

  /** Takes `count` occurrences away. */
  subtract(spelling: number, count: number): void {
    this.counts[spelling]! -= count;
  }

  /** Takes out the spelling that occurs most. @returns it, or −1 if there is none */
  takeBest(): number {
    for (let i = 0; i < this.#risenSize; i++) this.#enter(this.#risen[i]!);
    this.#risenSize = 0;
    do {
      while (this.#heapSize > 0) {
        const spelling = this.#heapIds[0]!;
        const count = this.#heapCounts[0]!;
        this.#removeTop();
        if (this.#queued[spelling] !== count) continue;
        this.#queued[spelling] = 0;
        if (this.counts[spelling] === count) return spelling;
        this.#enter(spelling);
      }
    } while (this.#sinkFloor());
    return -1;
  }

  #enter(spelling: number): void {
    const count = this.counts[spelling]!;
    if (count < this.#floor || count <= this.#queued[spelling]!) return;
    this.#queued[spelling] = count;
    if (this.#heapSize === this.#heapIds.length) {
      this.#heapIds = grown(this.#heapIds, this.#heapSize * 2);
      this.#heapCounts = grown(this.#heapCounts, this.#heapSize * 2);
    }
    this.#siftUp(this.#heapSize++, spelling, count);
  }

  /** @returns whether something came into the heap */
  #sinkFloor(): boolean {
    let most = 0;
    const known = Math.min(this.#spellings.size, this.counts.length);
    for (let i = 0; i < known; i++) if (this.counts[i]! > most) most = this.counts[i]!;
    if (most === 0) return false;
    this.#floor = Math.max(1, Math.floor(most / FLOOR_RATIO));
    for (let i = 0; i < known; i++) this.#enter(i);
    return true;
  }

  /** Whether the first belongs above the second. */
  #isBefore(spelling: number, count: number, other: number, otherCount: number): boolean {
    if (count !== otherCount) return count > otherCount;
    return this.#spellings.compare(spelling, other) < 0;
  }

  #siftUp(from: number, spelling: number, count: number): void {
    const ids = this.#heapIds;
    const counts = this.#heapCounts;
    let at = from;
    while (at > 0) {
      const parent = (at - 1) >> 1;
      if (!this.#isBefore(spelling, count, ids[parent]!, counts[parent]!)) break;
      ids[at] = ids[parent]!;
      counts[at] = counts[parent]!;
      at = parent;
    }
    ids[at] = spelling;
    counts[at] = count;
  }

  #removeTop(): void {
    const ids = this.#heapIds;
    const counts = this.#heapCounts;
    const size = --this.#heapSize;
    const spelling = ids[size]!;
    const count = counts[size]!;
    let at = 0;
    for (let child = 1; child < size; child = 2 * at + 1) {
      if (child + 1 < size && this.#isBefore(ids[child + 1]!, counts[child + 1]!, ids[child]!, counts[child]!)) child++;
      if (!this.#isBefore(ids[child]!, counts[child]!, spelling, count)) break;
      ids[at] = ids[child]!;
      counts[at] = counts[child]!;
      at = child;
    }
    ids[at] = spelling;
    counts[at] = count;
  }
}

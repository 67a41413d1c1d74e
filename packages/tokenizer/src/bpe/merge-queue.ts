/** 2^32: a rank and a place fit one double, so that the heap compares single numbers. */
const PLACE_SPAN = 0x100000000;

/** Queue of (rank, place), lowest rank first and lowest place among equals. Ranks seldom fall below the one being
 *  served, so there is a bucket for every rank, opened once and in order; the few that do fall go through a heap. */
export class MergeQueue {
  /** Rank of the entry that `pop` gave last. */
  rank = -1;
  /** Newest entry of each rank's chain, plus one. */
  readonly #chains: Int32Array;
  /** One bit for each rank with a chain. */
  readonly #occupied: Int32Array;
  #places = new Int32Array(1024);
  #older = new Int32Array(1024);
  #size = 0;
  /** The open bucket's places, in ascending order from `#served` to `#openEnd`. */
  #open = new Int32Array(1024);
  #served = 0;
  #openEnd = 0;
  #openRank = -1;
  readonly #early = new NumberHeap();

  /** @param rankCount ranks are `0 … rankCount − 1` */
  constructor(rankCount: number) {
    this.#chains = new Int32Array(rankCount);
    this.#occupied = new Int32Array((rankCount >>> 5) + 1);
  }

  /** Adds an entry. */
  push(rank: number, place: number): void {
    if (rank <= this.#openRank) {
      this.#early.push(rank * PLACE_SPAN + place);
      return;
    }
    if (this.#size === this.#places.length) {
      this.#places = doubled(this.#places);
      this.#older = doubled(this.#older);
    }
    const entry = this.#size++;
    this.#places[entry] = place;
    this.#older[entry] = this.#chains[rank]!;
    this.#chains[rank] = entry + 1;
    this.#occupied[rank >>> 5]! |= 1 << (rank & 31);
  }

  /** Takes the first entry out. @returns its place, or −1 once the queue is empty, which also readies it for reuse */
  pop(): number {
    if (this.#served === this.#openEnd && this.#early.size === 0 && !this.#openNextBucket()) {
      this.#openRank = -1;
      this.#size = 0;
      return -1;
    }
    const head = this.#served < this.#openEnd ? this.#openRank * PLACE_SPAN + this.#open[this.#served]! : Infinity;
    if (this.#early.size > 0 && this.#early.least <= head) {
      const key = this.#early.pop();
      this.rank = Math.floor(key / PLACE_SPAN);
      return key - this.rank * PLACE_SPAN;
    }
    this.rank = this.#openRank;
    return this.#open[this.#served++]!;
  }

  #openNextBucket(): boolean {
    const rank = this.#nextOccupied();
    if (rank < 0) return false;
    this.#occupied[rank >>> 5]! &= ~(1 << (rank & 31));
    let count = 0;
    let ascending = true;
    let descending = true;
    for (let entry = this.#chains[rank]! - 1; entry >= 0; entry = this.#older[entry]! - 1) {
      if (count === this.#open.length) this.#open = doubled(this.#open);
      const place = this.#places[entry]!;
      if (count > 0) {
        if (place < this.#open[count - 1]!) ascending = false;
        else descending = false;
      }
      this.#open[count++] = place;
    }
    this.#chains[rank] = 0;
    if (!ascending) {
      const places = this.#open.subarray(0, count);
      if (descending) places.reverse();
      else places.sort();
    }
    this.#served = 0;
    this.#openEnd = count;
    this.#openRank = rank;
    return true;
  }

  #nextOccupied(): number {
    const occupied = this.#occupied;
    for (let word = (this.#openRank + 1) >>> 5; word < occupied.length; word++) {
      const bits = occupied[word]!;
      if (bits !== 0) return word * 32 + 31 - Math.clz32(bits & -bits);
    }
    return -1;
  }
}

/** Binary heap of numbers, least first. */
class NumberHeap {
  size = 0;
  #items = new Float64Array(64);

  get least(): number {
    return this.#items[0]!;
  }

  push(item: number): void {
    if (this.size === this.#items.length) {
      const larger = new Float64Array(this.size * 2);
      larger.set(this.#items);
      this.#items = larger;
    }
    const items = this.#items;
    let at = this.size++;
    while (at > 0) {
      const parent = (at - 1) >> 1;
      if (items[parent]! <= item) break;
      items[at] = items[parent]!;
      at = parent;
    }
    items[at] = item;
  }

  pop(): number {
    const items = this.#items;
    const least = items[0]!;
    const item = items[--this.size]!;
    let at = 0;
    for (let child = 1; child < this.size; child = 2 * at + 1) {
      if (child + 1 < this.size && items[child + 1]! < items[child]!) child++;
      if (items[child]! >= item) break;
      items[at] = items[child]!;
      at = child;
    }
    items[at] = item;
    return least;
  }
}

function doubled(array: Int32Array): Int32Array<ArrayBuffer> {
  const larger = new Int32Array(array.length * 2);
  larger.set(array);
  return larger;
}

/** Packs lengths into rows by best fit, decreasing: longest first, each into the fullest row that still has room for it.
 *  Equal lengths keep their order. Johnson 1973; TRL calls it `bfd`.
 *  @param lengths of at least 1; what is longer than a row counts as a row
 *  @returns for every row the indices of what it holds, in the order they were put there */
export function bestFit(lengths: ArrayLike<number>, rowLength: number): number[][] {
  const order = Array.from({ length: lengths.length }, (_, i) => i).sort((a, b) => lengths[b]! - lengths[a]! || a - b);
  const rows: number[][] = [];
  /** Rows by the room they have left, the oldest first. */
  const byRoom: number[][] = Array.from({ length: rowLength + 1 }, () => []);
  const rooms = new RoomSet(rowLength);
  for (const index of order) {
    const length = Math.min(lengths[index]!, rowLength);
    const room = rooms.atLeast(length);
    let row = rows.length;
    if (room < 0) rows.push([]);
    else {
      row = byRoom[room]!.shift()!;
      if (byRoom[room]!.length === 0) rooms.delete(room);
    }
    rows[row]!.push(index);
    const left = (room < 0 ? rowLength : room) - length;
    if (left === 0) continue;
    byRoom[left]!.push(row);
    rooms.add(left);
  }
  return rows;
}

/** A set of whole numbers that finds the least one from a number on, 32 at a time. */
class RoomSet {
  readonly #words: Int32Array;

  constructor(largest: number) {
    this.#words = new Int32Array((largest >>> 5) + 1);
  }

  add(room: number): void {
    this.#words[room >>> 5]! |= 1 << (room & 31);
  }

  delete(room: number): void {
    this.#words[room >>> 5]! &= ~(1 << (room & 31));
  }

  /** The least member of at least `room`, or −1. */
  atLeast(room: number): number {
    let bits = (this.#words[room >>> 5] ?? 0) & (-1 << (room & 31));
    for (let word = room >>> 5; ; bits = this.#words[word]!) {
      if (bits !== 0) return word * 32 + 31 - Math.clz32(bits & -bits);
      if (++word >= this.#words.length) return -1;
    }
  }
}

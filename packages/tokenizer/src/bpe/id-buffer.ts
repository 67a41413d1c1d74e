/** Ids as they are made: grows by doubling. */
export class IdBuffer {
  /** The ids, valid up to `length`. */
  values: Int32Array = new Int32Array(1024);
  /** Number of ids. */
  length = 0;

  /** Makes room for `count` more. */
  reserve(count: number): void {
    if (this.length + count <= this.values.length) return;
    const larger = new Int32Array((this.length + count) * 2);
    larger.set(this.values.subarray(0, this.length));
    this.values = larger;
  }

  /** Empties the buffer and gives its memory back. */
  release(): void {
    this.values = new Int32Array(1024);
    this.length = 0;
  }

  /** Appends one id. */
  push(id: number): void {
    this.reserve(1);
    this.values[this.length++] = id;
  }
}

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

/** Which bytes each id of an {@link IdBuffer} came from. */
export class RangeBuffer {
  readonly starts: IdBuffer = new IdBuffer();
  readonly ends: IdBuffer = new IdBuffer();

  /** Shares `[start, end)` among `count` ids: equal parts where it has a byte for each, else they overlap. */
  share(start: number, end: number, count: number): void {
    const length = end - start;
    for (let k = 0; k < count; k++) {
      this.starts.push(start + Math.floor((k * length) / count));
      this.ends.push(start + Math.ceil(((k + 1) * length) / count));
    }
  }
}

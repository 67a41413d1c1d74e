/** Objects and arrays inside one another. */
const DEEPEST = 64;
const MOST_KEY_BYTES = 40;
const UNREAD = 0x7fffffff;
const QUOTE = 0x22;

/** Where in a document a reader is; costs two writes for each key and item. */
export class JsonPath {
  #depth = 0;
  /** By depth: index in an array, or −1 − the start of an object's key, or `UNREAD` before the first of either. */
  readonly #steps = new Int32Array(DEEPEST);

  /** Goes down by one level. @returns false if there are too many */
  enter(): boolean {
    if (this.#depth === DEEPEST) return false;
    this.#steps[this.#depth++] = UNREAD;
    return true;
  }

  leave(): void {
    this.#depth--;
  }

  /** @param start place of the key, after its quote */
  atKey(start: number): void {
    this.#steps[this.#depth - 1] = -1 - start;
  }

  atIndex(index: number): void {
    this.#steps[this.#depth - 1] = index;
  }

  copyFrom(other: JsonPath): void {
    this.#depth = other.#depth;
    this.#steps.set(other.#steps);
  }

  /** The path as text: `model.merges[12]`. */
  of(bytes: Uint8Array): string {
    let path = "";
    for (let depth = 0; depth < this.#depth; depth++) {
      const step = this.#steps[depth]!;
      if (step === UNREAD) break;
      path += step >= 0 ? `[${step}]` : `${path === "" ? "" : "."}${keyAt(bytes, -1 - step)}`;
    }
    return path;
  }

  /** Levels at most. */
  get deepest(): number {
    return DEEPEST;
  }
}

function keyAt(bytes: Uint8Array, start: number): string {
  let end = start;
  while (end < bytes.length && bytes[end] !== QUOTE && end - start < MOST_KEY_BYTES) end++;
  return new TextDecoder().decode(bytes.subarray(start, end));
}

/** One row of a file before it is parsed. */
export interface RawRow {
  /** The row's bytes; of a row with a problem, as many as were kept. */
  readonly bytes: Buffer;
  /** Line of the file on which it begins, from 1. */
  readonly line: number;
  /** Of the first byte in the file. */
  readonly offset: number;
  /** The file ended before the row did. */
  readonly unfinished: boolean;
  /** Why the row cannot be parsed at all. */
  readonly problem: string | null;
}

/** Cuts a stream of bytes into rows. */
export interface RowSplitter {
  /** Takes the next bytes and gives the rows that they complete. */
  push(chunk: Buffer): Iterable<RawRow>;
  /** Gives what is left when the bytes have ended. */
  end(): Iterable<RawRow>;
}

const keptBytes = 1024;

/** Gathers the bytes of a row; of a row past the limit it keeps the beginning, to show it by. */
export class RowBuffer {
  readonly #limit: number;
  #parts: Buffer[] = [];
  #length = 0;

  constructor(limit: number) {
    this.#limit = limit;
  }

  /** Bytes given since the last {@link take}. */
  get length(): number {
    return this.#length;
  }

  append(bytes: Buffer): void {
    if (bytes.length === 0) return;
    const alreadyLong = this.#length > this.#limit;
    this.#length += bytes.length;
    if (alreadyLong) return;
    this.#parts.push(bytes);
    if (this.#length > this.#limit) this.#parts = [Buffer.from(join(this.#parts).subarray(0, keptBytes))];
  }

  /** The row's bytes and its problem, if it was too long; empties the buffer. */
  take(): { bytes: Buffer; problem: string | null } {
    const tooLong = this.#length > this.#limit;
    const bytes = join(this.#parts);
    this.#parts = [];
    this.#length = 0;
    return { bytes, problem: tooLong ? `the row is longer than ${this.#limit} bytes (maxDocumentBytes)` : null };
  }
}

/** The parts as one buffer, without a copy where there is one part. */
export function join(parts: readonly Buffer[]): Buffer {
  const [only] = parts;
  return parts.length === 1 && only !== undefined ? only : Buffer.concat(parts);
}

import { RowBuffer, type RawRow, type RowSplitter } from "./raw-row.ts";
import { byteOrderMarkLength } from "./utf8.ts";

/** Cuts JSONL into rows: one a line, blank lines passed over, memory bounded by the longest row allowed. */
export class LineSplitter implements RowSplitter {
  readonly #row: RowBuffer;
  #line = 1;
  #offset = 0;

  constructor(maxRowBytes: number) {
    this.#row = new RowBuffer(maxRowBytes);
  }

  *push(chunk: Buffer): Generator<RawRow, void, undefined> {
    let from = 0;
    for (let end = chunk.indexOf(0x0a); end !== -1; end = chunk.indexOf(0x0a, from)) {
      this.#row.append(chunk.subarray(from, end));
      const length = this.#row.length;
      yield* this.#take(false);
      this.#offset += length + 1;
      this.#line++;
      from = end + 1;
    }
    this.#row.append(chunk.subarray(from));
  }

  *end(): Generator<RawRow, void, undefined> {
    yield* this.#take(true);
  }

  *#take(unfinished: boolean): Generator<RawRow, void, undefined> {
    const { bytes: whole, problem } = this.#row.take();
    const mark = this.#line === 1 ? byteOrderMarkLength(whole) : 0;
    const bytes = trimSpace(whole.subarray(mark));
    if (bytes.length === 0 && problem === null) return;
    yield { bytes, line: this.#line, offset: this.#offset + mark, unfinished, problem };
  }
}

/** Without spaces, tabs and returns at the end, which also empties a blank line. */
function trimSpace(bytes: Buffer): Buffer {
  let end = bytes.length;
  while (end > 0 && isSpace(bytes[end - 1])) end--;
  return bytes.subarray(0, end);
}

function isSpace(byte: number | undefined): boolean {
  return byte === 0x20 || byte === 0x09 || byte === 0x0d;
}

import { RowBuffer, type RawRow, type RowSplitter } from "./raw-row.ts";

type Expect = "start" | "value" | "first value" | "separator" | "end";

const quote = 0x22;
const backslash = 0x5c;
const comma = 0x2c;
const openArray = 0x5b;
const closeArray = 0x5d;
const openObject = 0x7b;
const closeObject = 0x7d;
const byteOrderMark = [0xef, 0xbb, 0xbf];

/** Cuts a JSON file into rows without holding it: the elements of its array, or the values that follow one another
 *  where the file does not begin with `[`. Each row is checked when it is parsed; here only its ends are found. */
export class JsonSplitter implements RowSplitter {
  readonly #row: RowBuffer;
  #expect: Expect = "start";
  #inArray = false;
  #line = 1;
  #position = 0;
  #broken = false;

  #inRow = false;
  #scalar = false;
  #depth = 0;
  #inString = false;
  #escaped = false;
  #rowLine = 1;
  #rowOffset = 0;

  constructor(maxRowBytes: number) {
    this.#row = new RowBuffer(maxRowBytes);
  }

  *push(chunk: Buffer): Generator<RawRow, void, undefined> {
    let from = 0;
    for (let i = 0; i < chunk.length && !this.#broken; i++) {
      const byte = chunk[i] ?? 0;
      if (!this.#inRow) {
        if (byte === 0x0a) this.#line++;
        if (isSpace(byte) || byte === byteOrderMark[this.#position + i]) continue;
        const problem = this.#between(byte);
        if (problem !== null) yield this.#breakOff(chunk.subarray(i, i + 1024), i, problem);
        if (!this.#inRow) continue;
        this.#rowLine = this.#line;
        this.#rowOffset = this.#position + i;
        from = i;
      }
      const ends = this.#within(byte);
      if (ends === "no") continue;
      // A scalar ends before the byte that ends it; that byte is looked at again.
      const end = ends === "before" ? i : i + 1;
      this.#row.append(chunk.subarray(from, end));
      yield this.#take(false);
      if (ends === "before") i--;
    }
    if (this.#inRow) this.#row.append(chunk.subarray(from));
    this.#position += chunk.length;
  }

  *end(): Generator<RawRow, void, undefined> {
    if (this.#broken) return;
    if (this.#inRow) yield this.#take(true);
    if (this.#inArray && this.#expect !== "end") {
      yield this.#breakOff(Buffer.alloc(0), 0, "the file ends inside its array, it may be cut short");
    }
  }

  /** Takes a byte between rows; a byte that begins a row sets `#inRow`. */
  #between(byte: number): string | null {
    if (this.#expect === "start" && byte === openArray) {
      this.#inArray = true;
      this.#expect = "first value";
      return null;
    }
    if (this.#expect === "end") return "nothing may follow the array";
    if (this.#expect === "separator" && this.#inArray) {
      if (byte !== comma && byte !== closeArray) return 'expected "," or "]" after a row';
      this.#expect = byte === comma ? "value" : "end";
      return null;
    }
    if (byte === closeArray && this.#expect === "first value") {
      this.#expect = "end";
      return null;
    }
    if (byte === comma || byte === closeArray || byte === closeObject) return "expected a row";
    this.#inRow = true;
    this.#scalar = byte !== openObject && byte !== openArray && byte !== quote;
    return null;
  }

  /** Takes a byte of a row and says whether the row ends before it, after it, or goes on. */
  #within(byte: number): "no" | "before" | "after" {
    if (byte === 0x0a && !this.#scalar) this.#line++;
    if (this.#scalar) return isSpace(byte) || byte === comma || byte === closeArray ? "before" : "no";
    if (this.#inString) {
      if (this.#escaped) this.#escaped = false;
      else if (byte === backslash) this.#escaped = true;
      else if (byte === quote) this.#inString = false;
      return !this.#inString && this.#depth === 0 ? "after" : "no";
    }
    if (byte === quote) this.#inString = true;
    else if (byte === openObject || byte === openArray) this.#depth++;
    else if (byte === closeObject || byte === closeArray) this.#depth--;
    return this.#depth === 0 && !this.#inString ? "after" : "no";
  }

  #take(unfinished: boolean): RawRow {
    this.#inRow = false;
    this.#inString = false;
    this.#depth = 0;
    this.#expect = "separator";
    return { ...this.#row.take(), line: this.#rowLine, offset: this.#rowOffset, unfinished };
  }

  #breakOff(bytes: Buffer, i: number, problem: string): RawRow {
    this.#broken = true;
    return { bytes, line: this.#line, offset: this.#position + i, unfinished: false, problem };
  }
}

function isSpace(byte: number): boolean {
  return byte === 0x20 || byte === 0x0a || byte === 0x0d || byte === 0x09;
}

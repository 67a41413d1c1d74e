import { TokenizerError } from "../errors.ts";
import { JsonPath } from "./json-path.ts";
import { type ByteText, characterEnd, decodeUtf8, escapeEnd, numberEnd, unescapeJson } from "./json-text.ts";

/** What a value is. */
export type JsonKind = "object" | "array" | "string" | "number" | "boolean" | "null";

/** Fields of one object that is read by names, so that a file of nothing but fields takes no memory. */
const MOST_FIELDS = 1 << 18;
const MOST_CHARACTERS_SHOWN = 40;
const QUOTE = 0x22;
const COMMA = 0x2c;
const COLON = 0x3a;
const BACKSLASH = 0x5c;
const OPEN_BRACE = 0x7b;
const CLOSE_BRACE = 0x7d;
const OPEN_BRACKET = 0x5b;
const CLOSE_BRACKET = 0x5d;
const MINUS = 0x2d;
const POINT = 0x2e;
const ZERO = 0x30;
const NINE = 0x39;

/** Reads JSON (RFC 8259) value by value from the bytes of a file: strings stay where they are until they are asked
 *  for, and nothing is kept. Every read throws `malformed-model` with the file, the path and the byte. */
export class JsonReader {
  /** The last string's content or its like: `bytes[start … end)`, escapes and all. */
  start = 0;
  end = 0;
  /** Whether it has escapes. */
  escaped = false;
  readonly bytes: Uint8Array;
  /** Name of the file, for messages. */
  readonly #file: string;
  #at: number;
  readonly #path = new JsonPath();

  /** @param file name of the file, for messages */
  constructor(bytes: Uint8Array, file: string) {
    // Node's Buffer is an array too, with a `subarray` of its own that takes ten times as long.
    this.bytes = new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    this.#file = file;
    this.#at = bytes[0] === 0xef && bytes[1] === 0xbb && bytes[2] === 0xbf ? 3 : 0;
  }

  /** Bytes that are not read yet. */
  get remaining(): number {
    return this.bytes.length - this.#at;
  }

  /** Another reader at the same place, for a value to be read later. */
  fork(): JsonReader {
    const copy = new JsonReader(this.bytes, this.#file);
    copy.#at = this.#at;
    copy.#path.copyFrom(this.#path);
    return copy;
  }

  /** Kind of the value that comes next. */
  kind(): JsonKind {
    const byte = this.#next();
    if (byte === OPEN_BRACE) return "object";
    if (byte === OPEN_BRACKET) return "array";
    if (byte === QUOTE) return "string";
    if (byte === MINUS || (byte >= ZERO && byte <= NINE)) return "number";
    if (byte === 0x74 || byte === 0x66) return "boolean";
    if (byte === 0x6e) return "null";
    throw this.#unexpected("a value");
  }

  /** Reads an object: `onEntry` must read each value; `start`, `end` and `escaped` tell the key until it does. */
  entries(onEntry: () => void): void {
    this.#open(OPEN_BRACE, "an object");
    if (this.#next() === CLOSE_BRACE) this.#at++;
    else {
      do {
        if (this.#next() !== QUOTE) throw this.#unexpected("a key");
        this.#path.atKey(this.#at + 1);
        this.#scanString();
        if (this.#next() !== COLON) throw this.#unexpected("a colon");
        this.#at++;
        onEntry();
      } while (this.#separated(CLOSE_BRACE, "}"));
    }
    this.#path.leave();
  }

  /** Reads an object with names that differ: `onField` must read each value. */
  fields(onField: (name: string) => void): void {
    const seen = new Set<string>();
    this.entries(() => {
      const name = this.text();
      if (seen.has(name)) throw this.fail("fields that differ, got one again");
      if (seen.size === MOST_FIELDS) throw this.fail(`at most ${MOST_FIELDS} fields`);
      seen.add(name);
      onField(name);
    });
  }

  /** Reads an array: `onItem` must read each value. */
  items(onItem: (index: number) => void): void {
    this.#open(OPEN_BRACKET, "an array");
    if (this.#next() === CLOSE_BRACKET) this.#at++;
    else {
      let index = 0;
      do {
        this.#path.atIndex(index);
        onItem(index++);
      } while (this.#separated(CLOSE_BRACKET, "]"));
    }
    this.#path.leave();
  }

  /** Reads a string and leaves it in the file: `start`, `end` and `escaped`, or `content`, tell it. */
  string(): void {
    if (this.#next() !== QUOTE) throw this.#unexpected("a string");
    this.#scanString();
  }

  /** The bytes of the last string, without escapes. */
  content(): ByteText {
    if (!this.escaped) return { bytes: this.bytes, start: this.start, end: this.end };
    return unescapeJson(this.bytes, this.start, this.end);
  }

  /** The last string as a JavaScript string. */
  text(): string {
    const { bytes, start, end } = this.content();
    return decodeUtf8(bytes, start, end);
  }

  /** Reads a string. @param longest in bytes of the file */
  stringUpTo(longest: number): string {
    this.string();
    if (this.end - this.start <= longest) return this.text();
    throw this.fail(`a string of at most ${longest} bytes, got ${this.end - this.start}`);
  }

  /** Reads a whole number from 0 to `most`, which is below 2^31. */
  integer(most: number): number {
    const { bytes } = this;
    this.#skipSpace();
    const from = this.#at;
    let at = from;
    let value = 0;
    for (let byte = bytes[at]!; byte >= ZERO && byte <= NINE && value <= most; byte = bytes[++at]!) {
      value = value * 10 + byte - ZERO;
    }
    // A sign, a fraction, an exponent or a zero in front: the full grammar tells whether it is a number at all.
    if (at === from || bytes[from] === ZERO || bytes[at]! >= POINT) this.#scanNumber();
    else this.#at = at;
    if (at === this.#at && value <= most) return value;
    const spelled = decodeUtf8(bytes, from, Math.min(this.#at, from + MOST_CHARACTERS_SHOWN));
    throw this.fail(`a whole number of 0 to ${most}, got ${spelled}`);
  }

  /** Reads a number. */
  number(): number {
    const from = this.#scanNumber();
    return Number(decodeUtf8(this.bytes, from, this.#at));
  }

  /** Reads `true` or `false`. */
  boolean(): boolean {
    if (this.#scanWord("true")) return true;
    if (this.#scanWord("false")) return false;
    throw this.#unexpected("true or false");
  }

  /** Reads `null` if that comes next. */
  isNull(): boolean {
    return this.#scanWord("null");
  }

  /** Passes over a value, which must be well-formed all the same. */
  skip(): void {
    const kind = this.kind();
    if (kind === "object") this.entries(() => this.skip());
    else if (kind === "array") this.items(() => this.skip());
    else if (kind === "string") this.string();
    else if (kind === "number") this.#scanNumber();
    else if (kind === "boolean") this.boolean();
    else if (!this.isNull()) throw this.fail("null");
  }

  /** Checks that nothing follows. */
  close(): void {
    this.#skipSpace();
    if (this.#at < this.bytes.length) throw this.#unexpected("the end of the file");
  }

  /** The error that this place of the file holds something else than was expected. */
  fail(expectation: string): TokenizerError {
    const path = this.path();
    const place = path === "" ? `byte ${this.#at}` : `${path}, byte ${this.#at}`;
    const message = `${this.#file}: expected ${expectation}, at ${place}: the file is damaged or of another kind`;
    return new TokenizerError("malformed-model", message, { file: this.#file, path, position: this.#at });
  }

  /** Where in the document the reader is: `model.merges[12]`. */
  path(): string {
    return this.#path.of(this.bytes);
  }

  #open(bracket: number, name: string): void {
    if (this.#next() !== bracket) throw this.#unexpected(name);
    if (!this.#path.enter()) throw this.fail(`at most ${this.#path.deepest} levels`);
    this.#at++;
  }

  /** Passes over a comma, or the closing bracket and gives false. */
  #separated(close: number, name: string): boolean {
    const byte = this.#next();
    if (byte !== COMMA && byte !== close) throw this.#unexpected(`a comma or ${name}`);
    this.#at++;
    return byte === COMMA;
  }

  /** The next byte that is no white space; 0 stands for the end of the file. */
  #next(): number {
    this.#skipSpace();
    return this.#at < this.bytes.length ? this.bytes[this.#at]! : 0;
  }

  #skipSpace(): void {
    const { bytes } = this;
    let at = this.#at;
    while (at < bytes.length) {
      const byte = bytes[at]!;
      if (byte !== 0x20 && byte !== 0x0a && byte !== 0x0d && byte !== 0x09) break;
      at++;
    }
    this.#at = at;
  }

  #scanString(): void {
    const { bytes } = this;
    const start = this.#at + 1;
    let at = start;
    this.escaped = false;
    for (;;) {
      const byte = at < bytes.length ? bytes[at]! : 0;
      if (byte === QUOTE) break;
      if (byte >= 0x20 && byte < 0x80 && byte !== BACKSLASH) at++;
      else {
        const next = byte === BACKSLASH ? escapeEnd(bytes, at) : byte < 0x20 ? -1 : characterEnd(bytes, at);
        if (byte === BACKSLASH) this.escaped = true;
        if (next < 0) {
          this.#at = at;
          const wish = byte === BACKSLASH ? "an escape of JSON, surrogates in pairs" : "UTF-8 up to a closing quote";
          throw this.#unexpected(wish);
        }
        at = next;
      }
    }
    this.start = start;
    this.end = at;
    this.#at = at + 1;
  }

  /** Passes over a number. @returns where it starts */
  #scanNumber(): number {
    if (this.kind() !== "number") throw this.#unexpected("a number");
    const from = this.#at;
    const end = numberEnd(this.bytes, from);
    if (end < 0) throw this.fail("a number");
    this.#at = end;
    return from;
  }

  #scanWord(word: string): boolean {
    this.#skipSpace();
    for (let i = 0; i < word.length; i++) if (this.bytes[this.#at + i] !== word.charCodeAt(i)) return false;
    this.#at += word.length;
    return true;
  }

  #unexpected(wish: string): TokenizerError {
    const byte = this.bytes[this.#at];
    if (byte === undefined) return this.fail(`${wish}, got the end of the file`);
    const isPrinted = byte > 0x20 && byte < 0x7f;
    return this.fail(`${wish}, got ${isPrinted ? `"${String.fromCharCode(byte)}"` : `byte 0x${byte.toString(16)}`}`);
  }
}

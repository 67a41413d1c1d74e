import { TokenizerError } from "../errors.ts";

const VARINT = 0;
const FIXED64 = 1;
const LENGTH_DELIMITED = 2;
const FIXED32 = 5;
const LONGEST_VARINT = 10;

/** Reads the fields of one protobuf message in place and never beyond its end. */
export class ProtobufReader {
  /** Number of the field that `next` found. */
  field = 0;
  /** Start of the last `bytes` or `message` field's content, in bytes from the start of the file. */
  start = 0;
  /** End of that content. */
  end = 0;
  readonly #bytes: Uint8Array;
  readonly #view: DataView;
  #position: number;
  #limit: number;
  #wireType = 0;
  #low = 0;

  constructor(bytes: Uint8Array, start = 0, end: number = bytes.length) {
    this.#bytes = bytes;
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    this.#position = start;
    this.#limit = end;
  }

  /** Starts over on another message of the same file, so that thousands of small ones need one reader. */
  enter(start: number, end: number): void {
    this.#position = start;
    this.#limit = end;
  }

  /** Moves to the next field; false at the end of the message. */
  next(): boolean {
    if (this.#position >= this.#limit) return false;
    const tag = this.#readVarint();
    this.#wireType = tag & 7;
    this.field = tag >>> 3;
    if (tag < 8 || tag > 0xffffffff) throw this.#malformed(`a field tag of 1 to 2^29, got ${tag}`);
    return true;
  }

  /** The field as a 32-bit integer, enum or boolean. */
  int32(): number {
    this.#expect(VARINT);
    this.#readVarint();
    return this.#low;
  }

  /** The field as a 32-bit float. */
  float(): number {
    this.#expect(FIXED32);
    const at = this.#advance(4);
    return this.#view.getFloat32(at, true);
  }

  /** The field as bytes, a string or a message: sets `start` and `end`. */
  content(): void {
    this.#expect(LENGTH_DELIMITED);
    this.#readContent();
  }

  /** Passes over a field that is of no interest. */
  skip(): void {
    if (this.#wireType === VARINT) this.#readVarint();
    else if (this.#wireType === FIXED64) this.#advance(8);
    else if (this.#wireType === LENGTH_DELIMITED) this.#readContent();
    else if (this.#wireType === FIXED32) this.#advance(4);
    else throw this.#malformed(`wire type 0, 1, 2 or 5, got ${this.#wireType}`);
  }

  #readContent(): void {
    const length = this.#readVarint();
    this.start = this.#advance(length);
    this.end = this.#position;
  }

  /** @returns the value, rounded above 2^53 (far past any length that can be right); `#low` keeps its low 32 bits */
  #readVarint(): number {
    if (this.#position < this.#limit && this.#bytes[this.#position]! < 128) {
      return (this.#low = this.#bytes[this.#position++]!);
    }
    let value = 0;
    this.#low = 0;
    for (let i = 0; i < LONGEST_VARINT; i++) {
      if (this.#position >= this.#limit) throw this.#malformed("a whole varint, got the end of the message");
      const byte = this.#bytes[this.#position++]!;
      value += (byte & 127) * 2 ** (7 * i);
      if (i < 5) this.#low |= (byte & 127) << (7 * i);
      if (byte < 128) return value;
    }
    throw this.#malformed(`a varint of at most ${LONGEST_VARINT} bytes`);
  }

  #advance(length: number): number {
    const remaining = this.#limit - this.#position;
    if (length > remaining) throw this.#malformed(`at most ${remaining} more bytes, got a length of ${length}`);
    const at = this.#position;
    this.#position += length;
    return at;
  }

  #expect(wireType: number): void {
    if (this.#wireType === wireType) return;
    throw this.#malformed(`wire type ${wireType} in field ${this.field}, got ${this.#wireType}`);
  }

  #malformed(expectation: string): TokenizerError {
    const position = this.#position;
    const message = `tokenizer model: expected ${expectation}, at byte ${position}: the file is damaged or no .model`;
    return new TokenizerError("malformed-model", message, { position });
  }
}

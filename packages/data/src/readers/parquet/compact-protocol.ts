/** A value of Thrift's compact protocol. Integers past 2⁵³ are rounded. */
export type ThriftValue = boolean | number | Uint8Array | readonly ThriftValue[] | ThriftStruct;

/** Fields by their number. */
export type ThriftStruct = ReadonlyMap<number, ThriftValue>;

/** The bytes end before the struct does. */
export class BytesEnd extends Error {}

const deepest = 16;
const longestVarint = 10;

/** Parses a struct of Thrift's compact protocol, in which Parquet's footers and page headers are written, in time and
 *  memory bounded by the bytes. Doubles come as 0: nothing here needs them.
 *  @returns its fields, and the place after it  @throws BytesEnd, Error with the reason */
export function parseStruct(bytes: Uint8Array, start: number = 0): { fields: ThriftStruct; end: number } {
  const reader = new CompactReader(bytes, start);
  const fields = reader.struct(0);
  return { fields, end: reader.offset };
}

class CompactReader {
  offset: number;
  readonly #bytes: Uint8Array;

  constructor(bytes: Uint8Array, offset: number) {
    this.#bytes = bytes;
    this.offset = offset;
  }

  struct(depth: number): ThriftStruct {
    if (depth > deepest) throw new Error(`its structs are nested deeper than ${deepest} levels`);
    const fields = new Map<number, ThriftValue>();
    let id = 0;
    for (let head = this.#byte(); head !== 0; head = this.#byte()) {
      const delta = head >> 4;
      id = delta === 0 ? this.#integer() : id + delta;
      const type = head & 15;
      fields.set(id, type === 1 || type === 2 ? type === 1 : this.#value(type, depth));
    }
    return fields;
  }

  #value(type: number, depth: number): ThriftValue {
    switch (type) {
      case 1:
      case 2:
        return this.#byte() === 1;
      case 3:
        return (this.#byte() << 24) >> 24;
      case 4:
      case 5:
      case 6:
        return this.#integer();
      case 7:
        this.#take(8);
        return 0;
      case 8:
        return this.#take(this.#varint());
      case 9:
        return this.#list(depth + 1);
      case 12:
        return this.struct(depth + 1);
      default:
        throw new Error(`a field has the type ${type}, which Parquet has no use for`);
    }
  }

  #list(depth: number): readonly ThriftValue[] {
    if (depth > deepest) throw new Error(`its lists are nested deeper than ${deepest} levels`);
    const head = this.#byte();
    const type = head & 15;
    const length = head >> 4 === 15 ? this.#varint() : head >> 4;
    const values: ThriftValue[] = [];
    // Every element takes a byte at least, so that a list is never longer than the bytes.
    for (let i = 0; i < length; i++) values.push(this.#value(type, depth));
    return values;
  }

  #integer(): number {
    const zigzag = this.#varint();
    return zigzag % 2 === 0 ? zigzag / 2 : -(zigzag + 1) / 2;
  }

  #varint(): number {
    let value = 0;
    for (let i = 0; i < longestVarint; i++) {
      const byte = this.#byte();
      value += (byte & 127) * 2 ** (7 * i);
      if (byte < 128) return value;
    }
    throw new Error(`an integer has more than ${longestVarint} bytes`);
  }

  #byte(): number {
    const byte = this.#bytes[this.offset++];
    if (byte === undefined) throw new BytesEnd("a struct goes on past the bytes left");
    return byte;
  }

  #take(length: number): Uint8Array {
    if (length > this.#bytes.length - this.offset) throw new BytesEnd("a string is longer than the bytes left");
    this.offset += length;
    return this.#bytes.subarray(this.offset - length, this.offset);
  }
}

/** The struct in a field. @throws Error if there is none */
export function structIn(fields: ThriftStruct, id: number, what: string): ThriftStruct {
  const value = fields.get(id);
  if (value instanceof Map) return value as ThriftStruct;
  throw new Error(`${what} is missing`);
}

/** The structs in a list. @throws Error if there is no list, or another in it */
export function structsIn(fields: ThriftStruct, id: number, what: string): readonly ThriftStruct[] {
  const value = fields.get(id);
  if (Array.isArray(value) && value.every((one) => one instanceof Map)) return value as ThriftStruct[];
  throw new Error(`${what} is missing`);
}

/** The whole number in a field. @throws Error if there is none from `low` to 2⁵³ − 1 */
export function integerIn(fields: ThriftStruct, id: number, what: string, low: number = 0): number {
  const value = fields.get(id);
  if (typeof value === "number" && Number.isSafeInteger(value) && value >= low) return value;
  throw new Error(`${what} is ${value === undefined ? "missing" : typeof value === "number" ? value : "no number"}`);
}

/** A value as text. @throws Error if it is none */
export function textOf(value: ThriftValue | undefined, what: string): string {
  if (value instanceof Uint8Array) return Buffer.from(value).toString("utf8");
  throw new Error(`${what} is missing`);
}

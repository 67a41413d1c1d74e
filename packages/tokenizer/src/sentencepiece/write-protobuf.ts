const LENGTH_DELIMITED = 2;
const FIXED32 = 5;

/** Writes the fields of protobuf messages, one after another. */
export class ProtobufWriter {
  #bytes = new Uint8Array(1024);
  #view = new DataView(this.#bytes.buffer);
  #length = 0;

  /** A 32-bit integer, enum or boolean; a negative one as 64 bits of two's complement, as the format asks. */
  int32(field: number, value: number): void {
    this.#varint(field * 8);
    if (value >= 0) {
      this.#varint(value);
      return;
    }
    // Ten bytes: the low 32 bits in four and a half, then nothing but ones.
    const low = value >>> 0;
    this.#reserve(10);
    for (let shift = 0; shift < 28; shift += 7) this.#bytes[this.#length++] = ((low >>> shift) & 127) | 128;
    this.#bytes[this.#length++] = (low >>> 28) | 0xf0;
    for (let i = 0; i < 4; i++) this.#bytes[this.#length++] = 0xff;
    this.#bytes[this.#length++] = 1;
  }

  boolean(field: number, value: boolean): void {
    this.int32(field, value ? 1 : 0);
  }

  /** A 32-bit float. */
  float(field: number, value: number): void {
    this.#varint(field * 8 + FIXED32);
    this.#reserve(4);
    this.#view.setFloat32(this.#length, value, true);
    this.#length += 4;
  }

  string(field: number, value: string): void {
    this.content(field, new TextEncoder().encode(value));
  }

  /** A field of bytes, or a message written before. */
  content(field: number, value: Uint8Array): void {
    this.#varint(field * 8 + LENGTH_DELIMITED);
    this.#varint(value.length);
    this.#reserve(value.length);
    this.#bytes.set(value, this.#length);
    this.#length += value.length;
  }

  /** A copy of all that was written. */
  finish(): Uint8Array {
    return this.#bytes.slice(0, this.#length);
  }

  #varint(value: number): void {
    this.#reserve(5);
    let rest = value;
    for (; rest > 127; rest = Math.floor(rest / 128)) this.#bytes[this.#length++] = (rest % 128) | 128;
    this.#bytes[this.#length++] = rest;
  }

  #reserve(count: number): void {
    if (this.#length + count <= this.#bytes.length) return;
    const larger = new Uint8Array((this.#length + count) * 2);
    larger.set(this.#bytes.subarray(0, this.#length));
    this.#bytes = larger;
    this.#view = new DataView(larger.buffer);
  }
}

import type { IdBuffer, RangeBuffer } from "../bpe/id-buffer.ts";

/** Where the ids of a text came from, in code units of the text. */
export class Offsets {
  readonly starts: number[] = [];
  readonly ends: number[] = [];

  /** Notes an id that stands for `[start, end)`. */
  push(start: number, end: number): void {
    this.starts.push(start);
    this.ends.push(end);
  }

  /** Takes over the ranges of ids that were made from bytes.
   *  @param ranges in bytes; a range that divides a character gets the whole of it
   *  @param bytes the UTF-8 that was encoded  @param first its first byte, which `place(0)` maps
   *  @param place maps a code unit of the encoded text to the original; `place(-1)` is the dummy space before it */
  addBytes(ranges: RangeBuffer, bytes: Uint8Array, first: number, place: (unit: number) => number): void {
    const { starts, ends } = ranges;
    const start = new UnitCounter(bytes, first);
    const end = new UnitCounter(bytes, first);
    for (let i = 0; i < starts.length; i++) {
      this.push(place(start.floor(starts.values[i]!)), place(end.ceil(ends.values[i]!)));
    }
  }

  /** Joins the ranges of ids that were joined: keeps those at `kept`, each reaching to the next kept one's start. */
  joinRuns(from: number, ids: IdBuffer, isJoined: (index: number) => boolean): void {
    let length = from;
    for (let i = from; i < ids.length; i++) {
      if (isJoined(i)) this.ends[length - 1] = this.ends[i]!;
      else {
        this.starts[length] = this.starts[i]!;
        this.ends[length++] = this.ends[i]!;
      }
    }
    this.starts.length = length;
    this.ends.length = length;
  }
}

/** Counts UTF-16 code units along UTF-8; asked for ascending places only. */
class UnitCounter {
  readonly #bytes: Uint8Array;
  readonly #first: number;
  /** Start of the character that the place asked for last is in or before. */
  #at: number;
  #units = 0;

  constructor(bytes: Uint8Array, first: number) {
    this.#bytes = bytes;
    this.#first = first;
    this.#at = first;
  }

  /** Code unit of the character that holds byte `place`; −1 before the first. */
  floor(place: number): number {
    if (place < this.#first) return -1;
    for (;;) {
      const lead = this.#bytes[this.#at]!;
      const next = this.#at + characterLength(lead);
      if (next > place) return this.#units;
      this.#at = next;
      this.#units += lead >= 0xf0 ? 2 : 1;
    }
  }

  /** Code unit after the character that holds byte `place − 1`. */
  ceil(place: number): number {
    if (place <= this.#first) return place < this.#first ? -1 : 0;
    const units = this.floor(place - 1);
    return units + (this.#bytes[this.#at]! >= 0xf0 ? 2 : 1);
  }
}

function characterLength(lead: number): number {
  return lead < 0xc0 ? 1 : lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : 4;
}

/** Byte of UTF-8 at which each given code unit of `text` starts. @param units need not be sorted */
export function toByteOffsets(text: string, ...lists: Int32Array[]): void {
  const bytes = new Int32Array(text.length + 1);
  let at = 0;
  for (let i = 0; i < text.length; i++) {
    bytes[i] = at;
    const unit = text.charCodeAt(i);
    if (unit < 0x80) at += 1;
    else if (unit < 0x800) at += 2;
    else if (unit >= 0xd800 && unit < 0xdc00 && isLow(text.charCodeAt(i + 1))) {
      bytes[++i] = at;
      at += 4;
    } else at += 3;
  }
  bytes[text.length] = at;
  for (const list of lists) for (let i = 0; i < list.length; i++) list[i] = bytes[list[i]!]!;
}

function isLow(unit: number): boolean {
  return unit >= 0xdc00 && unit < 0xe000;
}

import type { IdBuffer, RangeBuffer } from "../bpe/id-buffer.ts";
import type { NormalizedText } from "./normalizer.ts";

/** Maps code units of a part of normalized text to the whole text. */
export class Places {
  readonly #normalized: NormalizedText;
  readonly #at: number;
  readonly #shift: number;

  /** @param at where the stretch that was normalized starts in the whole text
   *  @param shift where the part starts in the normalized text, −1 if a dummy space is part of it */
  constructor(normalized: NormalizedText, at: number, shift: number) {
    this.#normalized = normalized;
    this.#at = at;
    this.#shift = shift;
  }

  /** Where code unit `unit` begins; −1 is a dummy space. */
  startOf(unit: number): number {
    const place = Math.max(Math.max(unit, 0) + this.#shift, 0);
    const { sources, spaceSource } = this.#normalized;
    if (unit + this.#shift < 0 && spaceSource !== undefined) return this.#at + spaceSource;
    return this.#at + (sources === undefined ? place : sources[place]!);
  }

  /** Where the code unit before `unit` ends; a dummy space ends where it begins. */
  endOf(unit: number): number {
    const place = unit + this.#shift;
    const { sourceEnds } = this.#normalized;
    const hasEnd = sourceEnds !== undefined && unit > 0 && place > 0;
    return hasEnd ? this.#at + sourceEnds[place - 1]! : this.startOf(unit);
  }
}

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
   *  @param bytes the UTF-8 that was encoded  @param first its first byte, which is code unit 0 of `places` */
  addBytes(ranges: RangeBuffer, bytes: Uint8Array, first: number, places: Places): void {
    const { starts, ends } = ranges;
    const start = new UnitCounter(bytes, first);
    const end = new UnitCounter(bytes, first);
    for (let i = 0; i < starts.length; i++) {
      const to = places.endOf(end.ceil(ends.values[i]!));
      this.push(starts.values[i] === ends.values[i] ? to : places.startOf(start.floor(starts.values[i]!)), to);
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

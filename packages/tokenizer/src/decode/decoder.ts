import { TokenizerError } from "../errors.ts";
import { incompleteTail } from "./utf8.ts";

const utf8 = new TextDecoder("utf-8", { ignoreBOM: true });
const SPACE = 0x20;
const REPLACEMENT = [0xef, 0xbf, 0xbd] as const;

/** What every id decodes to. */
export interface Surfaces {
  /** All surfaces, one after another; pieces are whole characters of UTF-8, byte pieces one byte. */
  readonly bytes: Uint8Array;
  /** `[V]`, 1 for an id without surface across which a run of bytes goes on; absent if there are none. */
  readonly isTransparent?: Uint8Array;
  /** `[V]`, 1 for a piece whose first character is a space that may be the dummy one. */
  readonly startsWithSpace: Uint8Array;
  /** `[2 V]`, start and end of each id's surface in `bytes`; special ids have none. */
  readonly ranges: Uint32Array;
  /** `[2 V]`, the same with special ids spelled. */
  readonly spelledRanges: Uint32Array;
  /** `[2 V]`, surfaces of the piece that a text begins with, where they differ; special ids are passed over. */
  readonly firstRanges?: Uint32Array;
}

/** How spaces at the start of the text are undone. */
export interface LeadingSpace {
  /** Encoding put a space before the text: one is taken away. */
  readonly addDummyPrefix: boolean;
  /** Encoding removed spaces: the first of every piece before the text is taken away. */
  readonly removeExtraWhitespaces: boolean;
  /** So many spaces are taken away, whichever pieces they come from, and the two others do not count. */
  readonly most?: number;
}

/** Where a text stands between two calls. */
export class DecodeState {
  /** Bytes decoded and not yet given out. */
  bytes: Uint8Array;
  /** Number of them. */
  length = 0;
  /** Whether the next piece may still hold the dummy space. */
  atStart = true;
  /** Whether the piece before held it. */
  sawSpace = false;
  /** Spaces taken away, where they are counted. */
  taken = 0;
  /** Whether the text has begun. */
  begun = false;

  constructor(capacity: number) {
    this.bytes = new Uint8Array(capacity);
  }
}

/** Ids to text over a table of surfaces. */
export class Decoder {
  readonly #surfaces: Surfaces;
  readonly #strips: boolean;
  readonly #stripsAll: boolean;
  readonly #most: number | undefined;

  constructor(surfaces: Surfaces, leading: LeadingSpace) {
    this.#surfaces = surfaces;
    this.#strips = leading.addDummyPrefix || leading.removeExtraWhitespaces;
    this.#stripsAll = leading.removeExtraWhitespaces;
    this.#most = leading.most;
  }

  /** The text of all `ids`. @throws TokenizerError `id-out-of-range` */
  decode(ids: ArrayLike<number>, skipSpecial: boolean): string {
    const state = new DecodeState(0);
    this.append(state, ids, skipSpecial);
    return this.text(state, state.length);
  }

  /** Adds the bytes of `ids` to `state`; nothing is added if one of them is out of range. */
  append(state: DecodeState, ids: ArrayLike<number>, skipSpecial: boolean): void {
    const { isTransparent, bytes, firstRanges } = this.#surfaces;
    const ranges = skipSpecial ? this.#surfaces.ranges : this.#surfaces.spelledRanges;
    this.#reserve(state, ids, ranges);
    const target = state.bytes;
    let length = state.length;
    for (let i = 0; i < ids.length; i++) {
      const id = ids[i]!;
      let from = ranges[2 * id]!;
      let to = ranges[2 * id + 1]!;
      if (from === to) {
        if (isTransparent?.[id] !== 1) length = sealCharacter(target, length);
      } else if (state.atStart) {
        if (firstRanges !== undefined) {
          state.atStart = false;
          from = firstRanges[2 * id]!;
          to = firstRanges[2 * id + 1]!;
        } else if (this.#most === undefined) from += this.#leadingSpace(state, id, length);
        else {
          for (; from < to && bytes[from] === SPACE && state.taken < this.#most; from++) state.taken++;
          state.atStart = from === to;
        }
      }
      while (from < to) target[length++] = bytes[from++]!;
    }
    state.length = length;
  }

  /** Gives out the first `count` bytes of `state` as text. */
  text(state: DecodeState, count: number): string {
    const text = utf8.decode(state.bytes.subarray(0, count));
    state.bytes.copyWithin(0, count, state.length);
    state.length -= count;
    if (count > 0) state.begun = true;
    return text;
  }

  /** Bytes to leave out at the front of a piece: 1 for the dummy space, else 0. */
  #leadingSpace(state: DecodeState, id: number, length: number): number {
    if (!this.#strips || state.sawSpace || state.begun || length > 0) {
      state.atStart = false;
      return 0;
    }
    if (this.#surfaces.startsWithSpace[id] === 0) return 0;
    state.sawSpace = !this.#stripsAll;
    return 1;
  }

  #reserve(state: DecodeState, ids: ArrayLike<number>, ranges: Uint32Array): void {
    const size = ranges.length / 2;
    let needed = state.length;
    for (let i = 0; i < ids.length; i++) {
      const id = ids[i]!;
      if (!(id >= 0 && id < size) || id !== Math.floor(id)) {
        const message = `tokenizer decode: expected ids of 0 to ${size - 1}, got ${id} at position ${i}`;
        throw new TokenizerError("id-out-of-range", message, { id, position: i });
      }
      needed += Math.max(ranges[2 * id + 1]! - ranges[2 * id]!, REPLACEMENT.length);
    }
    if (needed <= state.bytes.length) return;
    const larger = new Uint8Array(needed);
    larger.set(state.bytes.subarray(0, state.length));
    state.bytes = larger;
  }
}

/** A piece without surface still ends a run of byte pieces: what is incomplete before it stays so. */
function sealCharacter(bytes: Uint8Array, length: number): number {
  const tail = incompleteTail(bytes, length);
  if (tail === 0) return length;
  bytes.set(REPLACEMENT, length - tail);
  return length - tail + REPLACEMENT.length;
}

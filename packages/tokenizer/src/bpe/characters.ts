import { extendHash } from "./piece-table.ts";

/** `▁` as text holds it inside this package: one byte. */
export const SPACE = 0x20;
/** A real space inside a piece: no text has it after spaces became `▁`, so it must match nothing. */
export const UNMATCHED_SPACE = 0xff;
/** The UTF-8 of `▁`. */
export const SPACE_SYMBOL = [0xe2, 0x96, 0x81] as const;

/** Bytes of the character that begins with `lead`, in a text or a piece. */
export function characterLength(lead: number): number {
  return lead < 0xc0 || lead === UNMATCHED_SPACE ? 1 : lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : 4;
}

/** `[1]` hash of what was written last on the way into a `PieceTable`, as the table computes it. */
export const lastHash: Int32Array = new Int32Array(1);

/** Copies a spelling with `▁` as one byte, and leaves its hash in `lastHash`: in one pass, because a vocabulary is loaded
 *  before anything is compiled. @returns its length */
export function escapeSpaces(from: Uint8Array, start: number, end: number, to: Uint8Array, toStart: number): number {
  let length = toStart;
  let hash = 0;
  for (let at = start; at < end; at++) {
    let byte = from[at]!;
    if (byte === SPACE) byte = UNMATCHED_SPACE;
    else if (byte === SPACE_SYMBOL[0] && from[at + 1] === SPACE_SYMBOL[1] && from[at + 2] === SPACE_SYMBOL[2]) {
      byte = SPACE;
      at += 2;
    }
    hash = extendHash(hash, byte);
    to[length++] = byte;
  }
  lastHash[0] = hash;
  return length - toStart;
}

/** Notes that every byte inside a character stays with the one before it: such bytes never begin a chunk.
 *  @param joins `[65536]`, see `Cuts` */
export function joinCharacters(joins: Uint8Array): void {
  for (let last = 0; last < 256; last++) joins.fill(1, (last << 8) | 0x80, (last << 8) | 0xc0);
}

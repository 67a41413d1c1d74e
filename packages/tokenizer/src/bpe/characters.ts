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

/** Copies a spelling with `▁` as one byte. @returns its length */
export function escapeSpaces(from: Uint8Array, start: number, end: number, to: Uint8Array, toStart: number): number {
  let length = toStart;
  for (let at = start; at < end; at++) {
    let byte = from[at]!;
    if (byte === SPACE) byte = UNMATCHED_SPACE;
    else if (byte === SPACE_SYMBOL[0] && from[at + 1] === SPACE_SYMBOL[1] && from[at + 2] === SPACE_SYMBOL[2]) {
      byte = SPACE;
      at += 2;
    }
    to[length++] = byte;
  }
  return length - toStart;
}

/** Notes that every byte inside a character stays with the one before it: such bytes never begin a chunk.
 *  @param joins `[65536]`, see `Cuts` */
export function joinCharacters(joins: Uint8Array): void {
  for (let last = 0; last < 256; last++) joins.fill(1, (last << 8) | 0x80, (last << 8) | 0xc0);
}

/** What `decodeAt` gives for bytes that are no character. */
export const INVALID = -1;
/** What `decodeAt` gives for a character that goes on after the end. */
export const INCOMPLETE = -2;

/** The character that begins at `bytes[at]`, read as Unicode 15, table 3-7 allows.
 *  @returns its code point, `INVALID` or `INCOMPLETE` */
export function decodeAt(bytes: Uint8Array, at: number, end: number): number {
  const lead = bytes[at]!;
  if (lead < 0x80) return lead;
  const length = lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : 4;
  if (lead < 0xc2 || lead > 0xf4) return INVALID;
  let codePoint = lead & (0xff >> (length + 1));
  for (let i = 1; i < length; i++) {
    if (at + i >= end) return INCOMPLETE;
    const byte = bytes[at + i]!;
    if ((byte & 0xc0) !== 0x80) return INVALID;
    codePoint = (codePoint << 6) | (byte & 0x3f);
  }
  const least = length === 2 ? 0x80 : length === 3 ? 0x800 : 0x10000;
  const surrogate = codePoint >= 0xd800 && codePoint < 0xe000;
  return codePoint < least || codePoint > 0x10ffff || surrogate ? INVALID : codePoint;
}

/** Bytes that a code point takes. */
export function encodedLength(codePoint: number): number {
  return codePoint < 0x80 ? 1 : codePoint < 0x800 ? 2 : codePoint < 0x10000 ? 3 : 4;
}

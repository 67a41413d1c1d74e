import { isUtf8 } from "node:buffer";
import { DataError } from "../data-error.ts";

/** What to do with bytes that are not UTF-8: stop, or put U+FFFD in their place. */
export type InvalidText = "error" | "replace";

/** Decodes UTF-8.
 *  @param offset of the first byte in the file, for the message
 *  @throws DataError `bad-encoding` with the file and the offset of the first invalid byte */
export function decodeUtf8(bytes: Buffer, invalid: InvalidText, path: string, offset: number): string {
  if (invalid === "replace" || isUtf8(bytes)) return bytes.toString("utf8");
  const at = offset + firstInvalidByte(bytes);
  throw new DataError(
    "bad-encoding",
    `${path}: byte ${at} is not valid UTF-8; convert the file, or ask for invalid bytes to be replaced`,
    { path, offset: at },
  );
}

/** Index of the first byte that does not begin a well-formed UTF-8 character, or the length if there is none.
 *  Unicode 15, table 3-7. */
export function firstInvalidByte(bytes: Uint8Array): number {
  let i = 0;
  while (i < bytes.length) {
    const length = characterLength(bytes, i);
    if (length === 0) return i;
    i += length;
  }
  return i;
}

function characterLength(bytes: Uint8Array, i: number): number {
  const lead = bytes[i] ?? 0;
  if (lead < 0x80) return 1;
  if (lead < 0xc2 || lead > 0xf4) return 0;
  const length = lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : 4;
  const low = lead === 0xe0 ? 0xa0 : lead === 0xf0 ? 0x90 : 0x80;
  const high = lead === 0xed ? 0x9f : lead === 0xf4 ? 0x8f : 0xbf;
  const second = bytes[i + 1] ?? 0;
  if (second < low || second > high) return 0;
  for (let k = 2; k < length; k++) if (((bytes[i + k] ?? 0) & 0xc0) !== 0x80) return 0;
  return length;
}

/** Bytes of the byte order mark at the start of a chunk: 3 or 0. */
export function byteOrderMarkLength(bytes: Uint8Array): number {
  return bytes[0] === 0xef && bytes[1] === 0xbb && bytes[2] === 0xbf ? 3 : 0;
}

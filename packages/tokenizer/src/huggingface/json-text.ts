/** Some bytes of UTF-8. */
export interface ByteText {
  readonly bytes: Uint8Array;
  readonly start: number;
  readonly end: number;
}

const BACKSLASH = 0x5c;
const LETTER_U = 0x75;
const LETTER_E = 0x65;
const ZERO = 0x30;
const MINUS = 0x2d;
const PLUS = 0x2b;
const POINT = 0x2e;
/** Letters that a backslash only protects. */
const plain: ReadonlySet<number> = new Set([0x22, BACKSLASH, 0x2f]);
/** What the letter after a backslash stands for, where that is not the letter itself. */
const named: ReadonlyMap<number, number> = new Map([
  [0x62, 0x08],
  [0x66, 0x0c],
  [0x6e, 0x0a],
  [0x72, 0x0d],
  [0x74, 0x09],
]);
const utf8 = new TextDecoder("utf-8", { ignoreBOM: true });

/** `bytes[start … end)` as a JavaScript string. */
export function decodeUtf8(bytes: Uint8Array, start: number, end: number): string {
  return utf8.decode(bytes.subarray(start, end));
}

/** The content of a JSON string that was checked before, without its escapes. */
export function unescapeJson(bytes: Uint8Array, start: number, end: number): ByteText {
  // An escape is never shorter than what it stands for.
  const out = new Uint8Array(end - start);
  let length = 0;
  for (let at = start; at < end; ) {
    const byte = bytes[at]!;
    if (byte !== BACKSLASH) {
      out[length++] = byte;
      at++;
      continue;
    }
    const letter = bytes[at + 1]!;
    if (letter !== LETTER_U) {
      out[length++] = named.get(letter) ?? letter;
      at += 2;
      continue;
    }
    let codePoint = hex4(bytes, at + 2);
    at += 6;
    if (codePoint >= 0xd800 && codePoint < 0xdc00) {
      codePoint = 0x10000 + ((codePoint - 0xd800) << 10) + hex4(bytes, at + 2) - 0xdc00;
      at += 6;
    }
    length = writeCharacter(codePoint, out, length);
  }
  return { bytes: out, start: 0, end: length };
}

/** @returns −1 if these are not four hexadecimal digits */
function hex4(bytes: Uint8Array, at: number): number {
  let value = 0;
  for (let i = at; i < at + 4; i++) {
    const digit = hexDigit(bytes[i] ?? 0);
    if (digit < 0) return -1;
    value = value * 16 + digit;
  }
  return value;
}

function hexDigit(byte: number): number {
  if (byte >= ZERO && byte <= 0x39) return byte - ZERO;
  const letter = byte | 0x20;
  return letter >= 0x61 && letter <= 0x66 ? letter - 0x57 : -1;
}

/** @returns the end of what was written */
function writeCharacter(codePoint: number, out: Uint8Array, at: number): number {
  if (codePoint < 0x80) {
    out[at] = codePoint;
    return at + 1;
  }
  const length = codePoint < 0x800 ? 2 : codePoint < 0x10000 ? 3 : 4;
  let rest = codePoint;
  for (let i = at + length - 1; i > at; i--, rest >>= 6) out[i] = 0x80 | (rest & 63);
  out[at] = [0, 0, 0xc0, 0xe0, 0xf0][length]! | rest;
  return at + length;
}

/** The end of the well-formed character at `at`, or −1 (Unicode 15, table 3-7). */
export function characterEnd(bytes: Uint8Array, at: number): number {
  const lead = bytes[at] ?? 0;
  if (lead < 0x80) return at + 1;
  if (lead < 0xc2 || lead > 0xf4) return -1;
  const length = lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : 4;
  const second = bytes[at + 1] ?? 0;
  const least = lead === 0xe0 ? 0xa0 : lead === 0xf0 ? 0x90 : 0x80;
  const most = lead === 0xed ? 0x9f : lead === 0xf4 ? 0x8f : 0xbf;
  if (second < least || second > most) return -1;
  for (let i = at + 2; i < at + length; i++) if (((bytes[i] ?? 0) & 0xc0) !== 0x80) return -1;
  return at + length;
}

/** The end of the escape at `at`, both halves of a surrogate pair together, or −1 if it is none of JSON's. */
export function escapeEnd(bytes: Uint8Array, at: number): number {
  const letter = bytes[at + 1] ?? 0;
  if (letter !== LETTER_U) return named.has(letter) || plain.has(letter) ? at + 2 : -1;
  const unit = hex4(bytes, at + 2);
  if (unit < 0) return -1;
  if (unit < 0xd800 || unit > 0xdfff) return at + 6;
  if (unit > 0xdbff || bytes[at + 6] !== BACKSLASH || bytes[at + 7] !== LETTER_U) return -1;
  const low = hex4(bytes, at + 8);
  return low >= 0xdc00 && low <= 0xdfff ? at + 12 : -1;
}

/** The end of the number at `at`, or −1 if it is none: `-?(0|[1-9][0-9]*)(.[0-9]+)?([eE][+-]?[0-9]+)?`. */
export function numberEnd(bytes: Uint8Array, start: number): number {
  const first = bytes[start] === MINUS ? start + 1 : start;
  let at = bytes[first] === ZERO ? first + 1 : digitsEnd(bytes, first);
  if (at === first) return -1;
  if (bytes[at] === POINT) {
    const end = digitsEnd(bytes, at + 1);
    if (end === at + 1) return -1;
    at = end;
  }
  if ((bytes[at]! | 0x20) !== LETTER_E) return at;
  const sign = bytes[at + 1];
  const exponent = sign === PLUS || sign === MINUS ? at + 2 : at + 1;
  const end = digitsEnd(bytes, exponent);
  return end > exponent ? end : -1;
}

function digitsEnd(bytes: Uint8Array, start: number): number {
  let at = start;
  while (bytes[at]! >= ZERO && bytes[at]! <= 0x39) at++;
  return at;
}

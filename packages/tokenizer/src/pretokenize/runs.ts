import { asciiClasses, classOf, has, NEWLINE, NUMBER, setOf, WHITES } from "./classes.ts";

/** Bytes of the character that begins with a byte. */
export function widthOf(lead: number): number {
  return lead < 0x80 ? 1 : lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : 4;
}

/** The class of the character at `at`. */
export function classAt(bytes: Uint8Array, at: number): number {
  const lead = bytes[at]!;
  return lead < 0x80 ? asciiClasses[lead]! : wideClassAt(bytes, at, lead);
}

function wideClassAt(bytes: Uint8Array, at: number, lead: number): number {
  const second = bytes[at + 1]! & 63;
  if (lead < 0xe0) return classOf(((lead & 31) << 6) | second);
  const third = bytes[at + 2]! & 63;
  if (lead < 0xf0) return classOf(((lead & 15) << 12) | (second << 6) | third);
  return classOf(((lead & 7) << 18) | (second << 12) | (third << 6) | (bytes[at + 3]! & 63));
}

/** The first character at or after `at` whose class is not in `set`, or `end`. */
export function skip(bytes: Uint8Array, at: number, end: number, set: number): number {
  let next = at;
  for (;;) {
    while (next < end && has(set, asciiClasses[bytes[next]!]!)) next++;
    if (next >= end) return next;
    const lead = bytes[next]!;
    if (lead < 0x80 || !has(set, wideClassAt(bytes, next, lead))) return next;
    next += widthOf(lead);
  }
}

const NUMBERS = setOf(NUMBER);

/** The end of at most `most` digits. */
export function digitEnd(bytes: Uint8Array, start: number, end: number, most: number): number {
  if (most === Infinity) return skip(bytes, start, end, NUMBERS);
  let at = start;
  for (let digits = 0; digits < most && at < end && classAt(bytes, at) === NUMBER; digits++) {
    at += widthOf(bytes[at]!);
  }
  return at;
}

/** Where the last character before `end` starts. */
export function lastBefore(bytes: Uint8Array, end: number): number {
  let at = end - 1;
  while ((bytes[at]! & 0xc0) === 0x80) at--;
  return at;
}

/** The end of white space, as the patterns' last alternatives cut it: `\s*[\r\n]+` if `cutsAfterNewlines`, else
 *  `\s+(?!\S)`, which leaves one character to the next word, else `\s+`.
 *  @param textEnds classes that end the text as far as `(?!\S)` can see */
export function whiteEnd(
  bytes: Uint8Array,
  start: number,
  end: number,
  cutsAfterNewlines: boolean,
  textEnds: number,
): number {
  const run = skip(bytes, start, end, WHITES);
  if (cutsAfterNewlines) {
    let at = run;
    while (at > start && asciiClasses[bytes[at - 1]!] !== NEWLINE) at--;
    if (at > start) return at;
  }
  if (run === end || has(textEnds, classAt(bytes, run))) return run;
  const last = lastBefore(bytes, run);
  return last > start ? last : run;
}

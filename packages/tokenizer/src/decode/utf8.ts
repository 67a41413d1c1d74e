/** Bytes at the end of `bytes[0 … length)` that begin a UTF-8 character and could still be completed: 0 to 3.
 *  Unicode 15, table 3-7: the second byte's range depends on the first. */
export function incompleteTail(bytes: Uint8Array, length: number): number {
  for (let tail = 1; tail <= Math.min(3, length); tail++) {
    const lead = bytes[length - tail]!;
    if (lead >= 0x80 && lead < 0xc0) continue;
    if (characterBytes(lead) <= tail) return 0;
    return tail === 1 || allowsSecond(lead, bytes[length - tail + 1]!) ? tail : 0;
  }
  return 0;
}

function characterBytes(lead: number): number {
  if (lead < 0xc2 || lead > 0xf4) return 1;
  return lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : 4;
}

function allowsSecond(lead: number, second: number): boolean {
  const least = lead === 0xe0 ? 0xa0 : lead === 0xf0 ? 0x90 : 0x80;
  const most = lead === 0xed ? 0x9f : lead === 0xf4 ? 0x8f : 0xbf;
  return second >= least && second <= most;
}

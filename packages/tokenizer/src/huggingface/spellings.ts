/** Some texts in UTF-8, one after another. */
export interface Spellings {
  readonly bytes: Uint8Array;
  /** Text `i` is `bytes[offsets[i] … offsets[i + 1])`. */
  readonly offsets: Uint32Array;
}

/** The texts as JavaScript strings. Decodes them at once, which is ten times as fast as one by one. */
export function stringsOf({ bytes, offsets }: Spellings): string[] {
  const all = new TextDecoder("utf-8", { ignoreBOM: true }).decode(bytes.subarray(0, offsets.at(-1)));
  let unit = 0;
  return Array.from({ length: offsets.length - 1 }, (_, id) => {
    const start = unit;
    for (let at = offsets[id]!; at < offsets[id + 1]!; at++) {
      const byte = bytes[at]!;
      if (byte < 0x80 || byte >= 0xc0) unit += byte >= 0xf0 ? 2 : 1;
    }
    return all.slice(start, unit);
  });
}

/** Rewrites every text. @param room bytes that all texts take at most afterwards
 *  @param write puts `bytes[start … end)` rewritten to `to` at `toStart` and tells its length */
export function rewritten(
  { bytes, offsets }: Spellings,
  room: number,
  write: (bytes: Uint8Array, start: number, end: number, to: Uint8Array, toStart: number) => number,
): Spellings {
  const to = new Uint8Array(room);
  const moved = new Uint32Array(offsets.length);
  for (let id = 0; id + 1 < offsets.length; id++) {
    moved[id + 1] = moved[id]! + write(bytes, offsets[id]!, offsets[id + 1]!, to, moved[id]!);
  }
  return { bytes: to, offsets: moved };
}

/** Replaces a string in every text. @param pattern not empty */
export function replaced(spellings: Spellings, pattern: string, content: string): Spellings {
  const [old, next] = [new TextEncoder().encode(pattern), new TextEncoder().encode(content)];
  const length = spellings.offsets.at(-1)!;
  const room = length + Math.floor(length / old.length) * Math.max(next.length - old.length, 0);
  return rewritten(spellings, room, (bytes, start, end, to, toStart) => {
    let at = start;
    let toAt = toStart;
    while (at < end) {
      if (bytes[at] !== old[0] || at + old.length > end || !old.every((byte, i) => bytes[at + i] === byte)) {
        to[toAt++] = bytes[at++]!;
        continue;
      }
      for (let i = 0; i < next.length; i++) to[toAt++] = next[i]!;
      at += old.length;
    }
    return toAt - toStart;
  });
}

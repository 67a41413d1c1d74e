import fc from "fast-check";
import { expect, it } from "vitest";
import { decodeAt, encodedLength, INCOMPLETE, INVALID } from "./utf8.ts";

const strict = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

/** The character that the first bytes are, by the platform's decoder. */
function byPlatform(bytes: Uint8Array): number {
  for (let length = 1; length <= Math.min(4, bytes.length); length++) {
    try {
      return strict.decode(bytes.subarray(0, length)).codePointAt(0)!;
    } catch {
      continue;
    }
  }
  return INVALID;
}

it("decodeAt reads what the platform's decoder reads, and nothing else", () => {
  const edge = fc.constantFrom(0x7f, 0x80, 0x8f, 0x90, 0x9f, 0xa0, 0xbf, 0xc0, 0xc1, 0xc2, 0xe0, 0xed, 0xf0, 0xf4);
  const bytes = fc.array(fc.oneof(edge, edge, fc.nat(255)), { minLength: 4, maxLength: 4 });
  fc.assert(
    fc.property(bytes, (values) => {
      const text = Uint8Array.from(values);
      const character = decodeAt(text, 0, 4);
      expect(character).toBe(byPlatform(text));
      if (character >= 0) expect(encodedLength(character)).toBe(Buffer.byteLength(String.fromCodePoint(character)));
    }),
    { numRuns: 3000 },
  );
});

it("decodeAt says where a character goes on after the end", () => {
  const text = new TextEncoder().encode("é€\u{1F600}");
  const ends = [[0, 1], [0, 2], [2, 4], [5, 8], [5, 9]] as const; // prettier-ignore
  const characters = ends.map(([at, end]) => decodeAt(text, at, end));
  expect(characters).toEqual([INCOMPLETE, 0xe9, INCOMPLETE, INCOMPLETE, 0x1f600]);
});

import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { TextSplitter, type TextPiece } from "./split-text.ts";

function split(
  chunks: readonly string[],
  separator: string | null,
  maxDocumentBytes: number = 1 << 20,
  longDocuments: "error" | "split" = "error",
): TextPiece[] {
  const splitter = new TextSplitter({ path: "a.txt", separator, maxDocumentBytes, longDocuments });
  const pieces = chunks.flatMap((chunk) => [...splitter.push(Buffer.from(chunk))]);
  return [...pieces, ...splitter.end()];
}

const text = (pieces: readonly TextPiece[]): string[] => pieces.map((piece) => piece.bytes.toString());

/** The same by lines of the whole text, empty documents left out. */
function naive(whole: string, separator: string): string[] {
  const pieces = [""];
  for (const line of whole.split(/(?<=\n)/)) {
    if (line.replace(/\r?\n$/, "").replace(/\r$/, "") === separator) pieces.push("");
    else pieces[pieces.length - 1] += line;
  }
  return pieces.filter((piece) => piece !== "");
}

describe("TextSplitter", () => {
  test("cuts at separator lines however the bytes arrive", () => {
    const token = fc.constantFrom("==", "=", "a", "\n", "\r\n", "==\n", "\n==\r\n", "é");
    fc.assert(
      fc.property(fc.array(fc.array(token).map((parts) => parts.join(""))), (chunks) => {
        expect(text(split(chunks, "==")).filter((piece) => piece !== "")).toEqual(naive(chunks.join(""), "=="));
      }),
      { numRuns: 3000 },
    );
  });

  test("gives the offset of each document in the file", () => {
    const whole = "one\n==\ntwo\r\n==\r\n\nthree";
    for (const piece of split([...whole], "==")) {
      expect(whole.slice(piece.offset, piece.offset + piece.bytes.length)).toBe(piece.bytes.toString());
      expect(piece.separated).toBe(true);
    }
    expect(split(["whole"], "==")[0]?.separated).toBe(false);
  });

  test("takes a file whole without a separator", () => {
    expect(text(split(["a\n==\n", "b"], null))).toEqual(["a\n==\nb"]);
  });

  test("refuses a document past the limit, in chunks or at once", () => {
    expect(() => split(["12345678", "9"], null, 8)).toThrow(/a\.txt: a document is longer than 8 bytes/);
    expect(text(split(["1234567\n==\n1234567"], "==", 8))).toHaveLength(2);
  });

  test("splits a long document at line ends, and characters whole, losing nothing", () => {
    fc.assert(
      fc.property(fc.array(fc.string({ unit: fc.constantFrom("a", "\n", "é", "😀") })), (chunks) => {
        const pieces = split(chunks, "==", 16, "split");
        expect(text(pieces).join("")).toBe(chunks.join(""));
        for (const piece of pieces) {
          expect(piece.bytes.length).toBeLessThanOrEqual(16);
          expect(piece.bytes.toString()).not.toContain("\ufffd");
        }
      }),
      { numRuns: 1000 },
    );
    expect(text(split(["aaaa\nbbbb\ncccc\ndddd"], null, 16, "split"))).toEqual(["aaaa\nbbbb\ncccc\n", "dddd"]);
  });
});

import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { JsonReader } from "./json-reader.ts";
import { StepsNormalizer } from "./normalizer.ts";
import { readSection } from "./section.ts";

function normalizer(...normalizers: object[]): StepsNormalizer {
  const json = JSON.stringify({ type: "Sequence", normalizers });
  return new StepsNormalizer(readSection(new JsonReader(new TextEncoder().encode(json), "x")));
}

const spaces = { type: "Replace", pattern: { String: " " }, content: "\u2581" };
const prepend = { type: "Prepend", prepend: "\u2581" };
const latin = ["a", "A", " ", "  ", "\n", "\u00e9", "e\u0301\u0323", "\u0301", "\ufb01", "\u0130", "\u00bd", "\u212b"];
const asian = ["\u1100\u1161\u11a8", "\u3131\u314f", "\uff76\uff9e", "\u0958", "\u304b\u3099", "\u3000"];
const others = ["\u03a3", "\u{1F600}", "\ud83d", "\u2581"];
const anyText = fc.oneof(
  fc.array(fc.constantFrom(...latin, ...asian, ...others), { maxLength: 20 }).map((parts) => parts.join("")),
  fc.string({ unit: "binary" }),
);

describe("StepsNormalizer", () => {
  it.each(["NFC", "NFD", "NFKC", "NFKD"])("%s: that of the engine, with and without places", (form) => {
    const steps = normalizer({ type: form });
    fc.assert(
      fc.property(anyText, (text) => {
        expect(steps.normalize(text, true, false).text).toBe(text.normalize(form));
        const { text: normal, sources, sourceEnds } = steps.normalize(text, true, true);
        expect(normal).toBe(text.normalize(form));
        if (sources === undefined || sourceEnds === undefined) return;
        expect([sources.length, sourceEnds.length]).toEqual([normal.length + 1, normal.length]);
        expect(sources.at(-1)).toBe(text.length);
        for (let unit = 0; unit < normal.length; unit++) {
          expect(sources[unit]! <= sources[unit + 1]! && sources[unit]! < sourceEnds[unit]!).toBe(true);
        }
      }),
      { numRuns: 300 },
    );
  });

  it("places are those of single characters", () => {
    const { text, sources, sourceEnds } = normalizer({ type: "NFC" }).normalize("ae\u0301\u4e16e\u0301b", true, true);
    expect(text).toBe("a\u00e9\u4e16\u00e9b");
    expect([[...sources!], [...sourceEnds!]]).toEqual([[0, 1, 3, 4, 6, 7], [1, 3, 4, 6, 7]]);
  });

  it("spaces at the end cost nothing, and are the same as spelled out", () => {
    const quick = normalizer(prepend, spaces);
    expect(quick.normalize("a b", true, false)).toEqual({ text: "a b", spaceBefore: true });
    expect(quick.normalize("a b", false, false)).toEqual({ text: "a b", spaceBefore: false });
    expect(quick.normalize("", true, false)).toEqual({ text: "", spaceBefore: false });
    expect([quick.replacesSpaces, quick.prependsSpace, quick.isPlain]).toEqual([true, true, true]);
    // NFC after them changes neither, but then they are done as the file says.
    const slow = normalizer(prepend, spaces, { type: "NFC" });
    fc.assert(
      fc.property(anyText, (text) => {
        const { text: plain, spaceBefore } = quick.normalize(text.normalize("NFC"), true, false);
        const marked = `${spaceBefore ? " " : ""}${plain}`.replaceAll(" ", "\u2581");
        expect(slow.normalize(text, true, false)).toEqual({ text: marked, spaceBefore: false });
      }),
    );
  });

  it("steps follow one another, and so do their places", () => {
    const removal = { type: "Replace", pattern: { String: "b" }, content: "" };
    const steps = normalizer({ type: "Strip" }, { type: "Lowercase" }, removal);
    const { text, sources, sourceEnds } = steps.normalize("  AB\u0130C ", true, true);
    expect(text).toBe("ai\u0307c");
    expect([[...sources!], [...sourceEnds!]]).toEqual([[2, 4, 4, 5, 7], [3, 5, 5, 6]]);
  });

  it("a final sigma is like any other", () => {
    for (const aligned of [true, false]) {
      expect(normalizer({ type: "Lowercase" }).normalize("\u039f\u03a3", true, aligned).text).toBe("\u03bf\u03c3");
    }
  });
});

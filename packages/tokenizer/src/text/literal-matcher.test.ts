import fc from "fast-check";
import { expect, it } from "vitest";
import { LiteralMatcher } from "./literal-matcher.ts";

function scan(literals: readonly string[], text: string): string[] {
  const parts: string[] = [];
  const matches = new LiteralMatcher(literals.map((literal, id) => [literal, id] as const)).matchesIn(text);
  let at = 0;
  for (let match = matches.next(0); match !== undefined; match = matches.next(at)) {
    if (match.start > at) parts.push(text.slice(at, match.start));
    parts.push(`#${match.id}`);
    at = match.end;
  }
  return at < text.length ? [...parts, text.slice(at)] : parts;
}

it("takes the leftmost, and the longest that starts there", () => {
  expect(scan(["ab", "abc", "bcd"], "xabcdab")).toEqual(["x", "#1", "d", "#0"]);
  expect(scan(["ab"], "")).toEqual([]);
  expect(scan(["ab", "ab"], "ab")).toEqual(["#0"]);
  expect(new LiteralMatcher([["ab", 3]]).matchesIn("xabab").next(2)).toEqual({ id: 3, start: 3, end: 5 });
  expect(new LiteralMatcher([]).isEmpty).toBe(true);
});

it("agrees with a regular expression of the same strings, longest first", () => {
  const letter = fc.constantFrom("a", "b", "c");
  const literal = fc.array(letter, { minLength: 1, maxLength: 4 }).map((x) => x.join(""));
  const anyText = fc.array(fc.constantFrom("a", "b", "c", "d")).map((x) => x.join(""));
  fc.assert(
    fc.property(fc.uniqueArray(literal, { minLength: 1, maxLength: 6 }), anyText, (literals, text) => {
      const longestFirst = literals.toSorted((a, b) => b.length - a.length);
      const parts = text.split(new RegExp(`(${longestFirst.join("|")})`)).filter(Boolean);
      const expected = parts.map((part) => (literals.includes(part) ? `#${literals.indexOf(part)}` : part));
      expect(scan(literals, text)).toEqual(expected);
    }),
  );
});

it("looks at every code unit once, however much of it almost matches", () => {
  let looks = 0;
  const letters = { length: 5000, charCodeAt: (at: number) => (looks++, at % 7 === 0 ? 0x62 : 0x61) };
  const literals = ["aaaaaab", "aaaaaabaaaaaac", "a", "abaaaaaabaaaaaa", "baaaaaabaaaaaabc"];
  const matcher = new LiteralMatcher(literals.map((text, id) => [text, id] as const));
  const matches = matcher.matchesIn(letters as unknown as string);
  expect(looks).toBe(5000);
  expect(matches.next(0)).toEqual({ id: 0, start: 1, end: 8 });
});

import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { SafetensorsError } from "./errors.ts";
import { parseStrictJson } from "./json.ts";
import type { JsonValue } from "./json.ts";

const limits = { depth: 100, values: 100_000, naturalNumbersOnly: false };

function parse(text: string, changes: Partial<typeof limits> = {}): JsonValue {
  return parseStrictJson(text, { ...limits, ...changes }, "test");
}

function reasonOf(run: () => unknown): unknown {
  try {
    run();
  } catch (error) {
    if (error instanceof SafetensorsError) return error.data["reason"];
    throw error;
  }
  return undefined;
}

/** Plain objects and arrays from Maps; a null prototype keeps `__proto__` an ordinary key. */
function plain(value: JsonValue): unknown {
  if (Array.isArray(value)) return value.map(plain);
  if (!(value instanceof Map)) return value;
  const object = Object.create(null) as Record<string, unknown>;
  for (const [key, member] of value) object[key] = plain(member);
  return object;
}

function nullPrototypes(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(nullPrototypes);
  if (typeof value !== "object" || value === null) return value;
  return Object.assign(
    Object.create(null),
    Object.fromEntries(Object.entries(value).map(([k, v]) => [k, nullPrototypes(v)]))
  );
}

describe("parseStrictJson", () => {
  it("agrees with JSON.parse on every valid document", () => {
    fc.assert(
      fc.property(fc.json({ stringUnit: "binary" }), fc.constantFrom(0, 2, "\t"), (text, indent) => {
        const spaced = JSON.stringify(JSON.parse(text), null, indent);
        // Doubles beyond 2^53 print as integers, which are refused by intent.
        fc.pre(reasonOf(() => parse(spaced)) !== "number");
        expect(plain(parse(spaced))).toEqual(nullPrototypes(JSON.parse(spaced)));
      }),
      { numRuns: 500 }
    );
  });

  it("never accepts what JSON.parse refuses, and refuses no more than its own rules", () => {
    const edit = fc.record({
      at: fc.nat(),
      remove: fc.nat(2),
      insert: fc.constantFrom(
        "",
        '"',
        "\\",
        "{",
        "}",
        "[",
        "]",
        ",",
        ":",
        "0",
        "-",
        ".",
        "e",
        "\\u00e9",
        "\\ud83d",
        "\\ude00",
        "\u0000",
        "\n",
        " ",
        "é",
        "true",
        "1e999",
        "9007199254740993"
      ),
    });
    fc.assert(
      fc.property(fc.json({ maxDepth: 3 }), fc.array(edit, { minLength: 1, maxLength: 3 }), (json, edits) => {
        let text = json;
        for (const { at, remove, insert } of edits) {
          const position = at % (text.length + 1);
          text = text.slice(0, position) + insert + text.slice(position + remove);
        }
        let expected: unknown;
        let valid = true;
        try {
          expected = JSON.parse(text);
        } catch {
          valid = false;
        }
        const reason = reasonOf(() => parse(text));
        if (reason === undefined) {
          expect(valid).toBe(true);
          expect(plain(parse(text))).toEqual(nullPrototypes(expected));
        } else if (valid) {
          const ownRule =
            reason === "duplicate-key" || reason === "number" || (reason === "json" && /\\u[dD]/.test(text));
          expect(ownRule).toBe(true);
        }
      }),
      { numRuns: 3000 }
    );
  });

  it("refuses a key given twice, also in another spelling or deep inside", () => {
    for (const text of [
      '{"a":1,"a":1}',
      '{"a":1,"\\u0061":2}',
      '[{"b":{"a":1,"a":2}}]',
      '{"__proto__":1,"__proto__":2}',
    ]) {
      expect(reasonOf(() => parse(text))).toBe("duplicate-key");
    }
  });

  it("keeps __proto__ and constructor as ordinary keys", () => {
    const value = parse('{"__proto__":{"polluted":true},"constructor":1}') as Map<string, JsonValue>;
    expect([...value.keys()]).toEqual(["__proto__", "constructor"]);
    expect(({} as Record<string, unknown>)["polluted"]).toBeUndefined();
  });

  it("refuses integers beyond 2^53 - 1 and infinite numbers, takes the largest exact one", () => {
    expect(parse("9007199254740991")).toBe(Number.MAX_SAFE_INTEGER);
    for (const text of ["9007199254740992", "9007199254740993", "-9007199254740993", "1e999"]) {
      expect(reasonOf(() => parse(text))).toBe("number");
    }
  });

  it("takes only plain natural numbers where asked to", () => {
    for (const text of ["-1", "-0", "1.0", "1e2", "0.5"]) {
      expect(reasonOf(() => parse(text, { naturalNumbersOnly: true }))).toBe("number");
    }
    expect(parse("10", { naturalNumbersOnly: true })).toBe(10);
  });

  it("bounds depth and the number of values before spending memory on them", () => {
    expect(parse("[[1]]", { depth: 2 })).toEqual([[1]]);
    expect(reasonOf(() => parse("[[[1]]]", { depth: 2 }))).toBe("limit");
    expect(reasonOf(() => parse("[".repeat(200_000)))).toBe("limit");
    expect(reasonOf(() => parse(`[${"0,".repeat(1000)}0]`, { values: 1000 }))).toBe("limit");
  });

  it("refuses lone surrogates, raw control characters and unknown escapes", () => {
    for (const text of [
      '"\\ud800"',
      '"\\udc00"',
      '"\\ud800\\u0041"',
      '"\u0000"',
      '"\n"',
      '"\\x41"',
      '"\\u12"',
      '"open',
    ]) {
      expect(reasonOf(() => parse(text))).toBe("json");
    }
    expect(parse('"\\ud83d\\ude00\u007f"')).toBe("😀\u007f");
  });
});

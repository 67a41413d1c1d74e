import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { TokenizerError } from "../errors.ts";
import { JsonReader } from "./json-reader.ts";

function read(reader: JsonReader): unknown {
  switch (reader.kind()) {
    case "object": {
      const fields: [string, unknown][] = [];
      reader.fields((name) => fields.push([name, read(reader)]));
      return Object.fromEntries(fields);
    }
    case "array": {
      const items: unknown[] = [];
      reader.items(() => items.push(read(reader)));
      return items;
    }
    case "string":
      reader.string();
      return reader.text();
    case "number":
      return reader.number();
    case "boolean":
      return reader.boolean();
    default:
      return reader.isNull() ? null : undefined;
  }
}

/** The value of a file, or undefined where the reader refuses it. */
function parsed(bytes: Uint8Array): unknown {
  const reader = new JsonReader(bytes, "x.json");
  const skipper = new JsonReader(bytes, "x.json");
  const fork = reader.fork();
  try {
    const value = read(reader);
    reader.close();
    skipper.skip();
    skipper.close();
    expect(read(fork)).toEqual(value);
    return value;
  } catch (error) {
    expect(error).toBeInstanceOf(TokenizerError);
    return undefined;
  }
}

function parsedByEngine(bytes: Uint8Array): unknown {
  try {
    return JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(bytes)) as unknown;
  } catch {
    return undefined;
  }
}

const utf8 = new TextEncoder();
/** Values whose strings have their surrogates in pairs. */
const value = fc.jsonValue({ maxDepth: 5, noUnicodeString: false, stringUnit: "binary" });
const spaced = fc.tuple(value, fc.constantFrom(undefined, 1, "\t", "\r\n "));

describe("JsonReader", () => {
  it("reads what JSON.stringify writes", () => {
    fc.assert(
      fc.property(spaced, ([tree, indent]) => {
        expect(parsed(utf8.encode(JSON.stringify(tree, null, indent)))).toEqual(JSON.parse(JSON.stringify(tree)));
      }),
    );
  });

  it("reads every escape", () => {
    fc.assert(
      fc.property(fc.string({ unit: "binary" }), fc.boolean(), (content, upper) => {
        const hex = (unit: number): string => unit.toString(16).padStart(4, "0");
        const units = Array.from({ length: content.length }, (_, i) => hex(content.charCodeAt(i)));
        const escaped = units.map((unit) => `\\u${upper ? unit.toUpperCase() : unit}`).join("");
        expect(parsed(utf8.encode(`"${escaped}"`))).toBe(content);
      }),
    );
    expect(parsed(utf8.encode(String.raw`"\"\\\/\b\f\n\r\t"`))).toBe('"\\/\b\f\n\r\t');
  });

  it("accepts what the engine accepts, except what it says", () => {
    const put = fc.constantFrom(..."\"\\{}[],:0-+.eEtfn u\u00e9\u0000", "true", "null", "\\u00e9");
    const edit = fc.tuple(fc.nat(), fc.nat(3), put);
    fc.assert(
      fc.property(spaced, fc.array(edit, { minLength: 1, maxLength: 3 }), ([tree, indent], edits) => {
        let json = JSON.stringify(tree, null, indent);
        for (const [at, length, characters] of edits) {
          const place = at % (json.length + 1);
          json = json.slice(0, place) + characters + json.slice(place + length);
        }
        const bytes = utf8.encode(json);
        const [ours, engines] = [parsed(bytes), parsedByEngine(bytes)];
        // Fields that are there twice, and escapes of half a surrogate pair.
        const isStricter = ours === undefined && /\\ud[89a-f]/i.test(json) ? true : hasFieldsTwice(json, engines);
        if (!isStricter) expect(ours).toEqual(engines);
      }),
      { numRuns: 2000 },
    );
  });

  it("accepts the bytes in strings that UTF-8 allows", () => {
    const following = fc.constantFrom(0x41, 0x7f, 0x80, 0x8f, 0x90, 0x9f, 0xa0, 0xbf);
    const lead = fc.constantFrom(0xc0, 0xc1, 0xc2, 0xdf, 0xe0, 0xe1, 0xed, 0xef, 0xf0, 0xf1, 0xf4, 0xf5, 0xff);
    fc.assert(
      fc.property(fc.array(fc.oneof(following, lead), { minLength: 1, maxLength: 5 }), (content) => {
        const bytes = Uint8Array.of(0x22, ...content, 0x22);
        expect(parsed(bytes)).toEqual(parsedByEngine(bytes));
      }),
      { numRuns: 3000 },
    );
    for (const never of [0xc0, 0xc1, 0xf5, 0xf8, 0xff]) {
      expect(parsed(Uint8Array.of(0x22, never, 0x80, 0x80, 0x80, 0x22))).toBe(undefined);
      expect(parsed(Uint8Array.of(0x22, never, 0x80, 0x22))).toBe(undefined);
    }
  });

  it("names the path", () => {
    const path = (json: string): unknown => {
      try {
        new JsonReader(utf8.encode(json), "x.json").skip();
        return undefined;
      } catch (error) {
        return (error as TokenizerError).data["path"];
      }
    };
    expect(path('{"a":{"b":[1,2,{"c":x}]}}')).toBe("a.b[2].c");
    expect(path('{"a":[],"b"}')).toBe("b");
    expect(path("[[],[[tru]]]")).toBe("[1][0][0]");
    expect(path("x")).toBe("");
    expect(path('{"a":[x')).toBe("a[0]");
  });
});

/** Whether the engine dropped a field: its value written anew has fewer colons outside of strings. */
function hasFieldsTwice(json: string, tree: unknown): boolean {
  const colons = (text: string): number => text.replace(/"(?:[^"\\]|\\.)*"/g, "").split(":").length;
  return tree !== undefined && colons(json) !== colons(JSON.stringify(tree));
}

import fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { RawRow, RowSplitter } from "./raw-row.ts";
import { JsonSplitter } from "./split-json.ts";
import { LineSplitter } from "./split-lines.ts";

function run(splitter: RowSplitter, chunks: readonly string[]): RawRow[] {
  const rows = chunks.flatMap((chunk) => [...splitter.push(Buffer.from(chunk))]);
  return [...rows, ...splitter.end()];
}

function cut(whole: string, places: readonly number[]): string[] {
  const ends = [...places.map((place) => place % (whole.length + 1)), whole.length].sort((a, b) => a - b);
  return ends.map((end, i) => whole.slice(ends[i - 1] ?? 0, end));
}

const value = fc.jsonValue().map((json) => JSON.parse(JSON.stringify(json)) as unknown);
const places = fc.array(fc.nat(), { maxLength: 8 });
const brief = (rows: readonly RawRow[]): unknown[] =>
  rows.map(({ bytes, line, problem }) => [bytes.toString(), line, problem]);

describe("LineSplitter", () => {
  test("finds the rows and their lines however the bytes arrive", () => {
    const text = fc.oneof(
      value.map((v) => JSON.stringify(v)),
      fc.constant(""),
    );
    const line = fc.tuple(text, fc.constantFrom("\n", "\r\n"));
    fc.assert(
      fc.property(fc.array(line), places, (lines, at) => {
        const whole = lines.flat().join("");
        const expected = lines.flatMap(([text], i) => (text === "" ? [] : [[text, i + 1, null]]));
        expect(brief(run(new LineSplitter(1 << 20), cut(whole, at)))).toEqual(expected);
      }),
    );
  });

  test("drops a byte order mark, keeps its offset, and marks an unfinished last line", () => {
    const rows = run(new LineSplitter(100), ["\ufeff{}\r\n \t\r\n[]"]);
    expect(rows.map(({ bytes, line, offset, unfinished }) => [bytes.toString(), line, offset, unfinished])).toEqual([
      ["{}", 1, 3, false],
      ["[]", 3, 11, true],
    ]);
  });

  test("a line past the limit is a problem, and the lines around it are not", () => {
    const chunks = ['"a"\n"', ..."x".repeat(50_000).match(/.{1,777}/g)!, '"\n"b"\n'];
    const rows = run(new LineSplitter(5000), chunks);
    expect(rows.map((row) => [row.line, row.problem])).toEqual([
      [1, null],
      [2, "the row is longer than 5000 bytes (maxDocumentBytes)"],
      [3, null],
    ]);
    expect(rows[1]?.bytes.length).toBe(1024);
    expect(rows[2]?.offset).toBe(4 + 50_003);
  });
});

describe("JsonSplitter", () => {
  const layouts: readonly ((values: readonly unknown[]) => string)[] = [
    (values) => JSON.stringify(values),
    (values) => `\ufeff${JSON.stringify(values, null, 2)}\n`,
    (values) => values.map((v) => `${JSON.stringify(v, null, 1)}\r\n`).join(""),
  ];

  test("finds the elements of an array and values one after another, however the bytes arrive", () => {
    fc.assert(
      fc.property(fc.array(value), fc.constantFrom(...layouts), places, (values, layout, at) => {
        // Without brackets a file that begins with [ is an array of rows.
        fc.pre(layout !== layouts[2] || !Array.isArray(values[0]));
        const whole = layout(values);
        const rows = run(new JsonSplitter(1 << 20), cut(whole, at));
        expect(rows.map((row) => row.problem)).toEqual(values.map(() => null));
        expect(rows.map((row) => JSON.parse(row.bytes.toString()) as unknown)).toEqual(values);
        const bytes = Buffer.from(whole);
        for (const row of rows) {
          expect(bytes.subarray(row.offset, row.offset + row.bytes.length)).toEqual(row.bytes);
          expect(row.line).toBe(bytes.toString("utf8", 0, row.offset).split("\n").length);
        }
      }),
      { numRuns: 1000 },
    );
  });

  test.each([
    ["[1, 2", "the file ends inside its array, it may be cut short"],
    ["[", "the file ends inside its array, it may be cut short"],
    ["[1 2]", 'expected "," or "]" after a row'],
    ["[1,]", "expected a row"],
    ["[,1]", "expected a row"],
    ["[1] 2", "nothing may follow the array"],
    ["[] []", "nothing may follow the array"],
    ["}", "expected a row"],
    ["{},{}", "expected a row"],
  ])("%s is broken: %s", (whole, problem) => {
    const rows = run(new JsonSplitter(100), [whole]);
    expect(rows.at(-1)?.problem).toBe(problem);
    expect(run(new JsonSplitter(100), [...whole]).map((row) => row.problem)).toEqual(rows.map((row) => row.problem));
  });

  test("an element past the limit is a problem, and its neighbours are not", () => {
    const rows = run(new JsonSplitter(50), [`["a", {"b": ["${"\\\"]".repeat(40)}"]}, 3]`]);
    expect(rows.map((row) => row.problem)).toEqual([null, "the row is longer than 50 bytes (maxDocumentBytes)", null]);
  });

  test("any bytes give rows or problems, never a failure", () => {
    fc.assert(
      fc.property(fc.array(fc.string({ unit: fc.constantFrom(..."[]{},:\"\\ \n1a") })), (chunks) => {
        run(new JsonSplitter(20), chunks);
      }),
      { numRuns: 1000 },
    );
  });
});

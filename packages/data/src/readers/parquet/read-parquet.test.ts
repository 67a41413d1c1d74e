import { readdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { type Cell, parquetOf } from "../../../test/parquet-writer.ts";
import { all, put, temporaryFolder } from "../../../test/support.ts";
import { DataError } from "../../data-error.ts";
import { type BadRow, BadRows } from "../bad-rows.ts";
import { readDocuments } from "../read-documents.ts";
import { readRows, type Row, type RowOptions } from "../read-rows.ts";

const golden = fileURLToPath(new URL("../../../test/golden/parquet", import.meta.url));
const expectedOf = (name: string): unknown[] =>
  JSON.parse(readFileSync(join(golden, `${name}.json`), "utf8")) as unknown[];
const files = readdirSync(golden).filter((name) => name.endsWith(".parquet"));
const sameRows = files.filter((name) => !/chat|preferences/.test(name));

function read(path: string, options: Partial<RowOptions> = {}, badRows: BadRows = new BadRows({})): AsyncIterable<Row> {
  const source = { path, format: "parquet", gzip: false, bytes: statSync(path).size } as const;
  return readRows(source, { maxRowBytes: 1 << 20, invalidText: "error", ...options }, badRows);
}

async function failure(rows: AsyncIterable<unknown>): Promise<unknown> {
  return all(rows).then(
    (found) => `read ${found.length} rows`,
    (error: unknown) => error,
  );
}

describe("Parquet files", () => {
  test.each(sameRows)("of pyarrow: %s has the rows that were written", async (name) => {
    const rows = await all(read(join(golden, name)));
    expect(rows.map(({ value }) => value)).toEqual(expectedOf("rows"));
    expect(rows.map(({ raw }) => raw.line)).toEqual(rows.map((_, i) => i + 1));
    expect(JSON.parse(rows[3]!.raw.bytes.toString())).toEqual(expectedOf("rows")[3]);
  });

  test.each(["chat", "preferences"])("of the hub: %s has its nested messages", async (name) => {
    const rows = await all(read(join(golden, `${name}.parquet`)));
    expect(rows.map(({ value }) => value)).toEqual(expectedOf(name));
  });

  test("give documents by a field, and say how many bytes they took", async () => {
    let bytes = 0;
    const options = { field: "constant", onBytes: (count: number) => (bytes += count) };
    const documents = await all(readDocuments([join(golden, "snappy.parquet")], options));
    expect(documents.map(({ text }) => text)).toEqual(Array.from({ length: 40 }, () => "same"));
    expect(bytes).toBeGreaterThan(1000);
    expect(bytes).toBeLessThan(statSync(join(golden, "snappy.parquet")).size);
  });

  test("under gzip are of no known format", async () => {
    const path = put(join(temporaryFolder(), "a.parquet.gz"), "x");
    expect(await failure(readDocuments([path]))).toMatchObject({ code: "unknown-format" });
  });

  test("a long row is a bad row by its number, the others are read", async () => {
    const bad: BadRow[] = [];
    const badRows = new BadRows({ badRows: "skip", onBadRow: (row) => bad.push(row) });
    const rows = await all(read(join(golden, "plain.parquet"), { maxRowBytes: 150 }, badRows));
    expect(bad.length).toBeGreaterThan(5);
    expect(rows.length + bad.length).toBe(40);
    expect(bad[0]?.reason).toBe("the row is longer than 150 bytes (maxDocumentBytes)");
    expect(rows.some(({ raw }) => raw.line === bad[0]?.line)).toBe(false);
  });

  test("bytes that are not UTF-8 are no text, or mended", async () => {
    const bytes = readFileSync(join(golden, "plain.parquet"));
    const at = bytes.indexOf("prompt 20");
    bytes[at] = 0xff;
    const path = put(join(temporaryFolder(), "a.parquet"), bytes);
    const row = (await all(read(path)))[20]?.value;
    expect(row).toMatchObject({ prompt: { bytes: 9 } });
    const mended = (await all(read(path, { invalidText: "replace" })))[20]?.value;
    expect(mended).toMatchObject({ prompt: "\ufffdrompt 20" });
  });

  test("the inflation is bounded", async () => {
    const error = await failure(read(join(golden, "zstd.parquet"), { maxInflatedBytes: 2000 }));
    expect(error).toMatchObject({
      code: "inflation-limit",
      message: expect.stringContaining("zstd.parquet") as string,
    });
  });
});

describe("rows that go on in the next page", () => {
  const lists = fc.array(fc.array(fc.string({ maxLength: 4 }), { maxLength: 6 }), { minLength: 1, maxLength: 12 });
  const cellsOf = (rows: readonly (readonly string[])[]): Cell[] =>
    rows.flatMap((row): Cell[] =>
      row.length === 0
        ? [{ repetition: 0, text: null }]
        : row.map((text, i) => ({ repetition: i === 0 ? 0 : 1, text })),
    );

  test("are put together, wherever the pages are cut", async () => {
    const path = join(temporaryFolder(), "a.parquet");
    await fc.assert(
      fc.asyncProperty(lists, fc.array(fc.nat({ max: 40 }), { maxLength: 12 }), async (rows, cuts) => {
        const cells = cellsOf(rows);
        const ends = [...new Set([...cuts.filter((cut) => cut < cells.length), cells.length])].toSorted(
          (a, b) => a - b,
        );
        const pages = ends.map((end, i) => cells.slice(ends[i - 1] ?? 0, end));
        put(path, parquetOf(pages, rows.length));
        expect((await all(read(path))).map(({ value }) => value)).toEqual(rows.map((tags) => ({ tags })));
      }),
      { numRuns: 200 },
    );
  });

  test.each([1, 3])("are refused where the footer says %i of 2", async (count) => {
    const pages = cellsOf([["a", "b"], ["c"]]).map((cell) => [cell]);
    const path = put(join(temporaryFolder(), "a.parquet"), parquetOf(pages, count));
    const message = count === 1 ? /column tags.list.element: it has over 1 rows/ : /it has 2 rows instead of 3/;
    expect(await failure(read(path))).toMatchObject({
      code: "bad-parquet",
      message: expect.stringMatching(message) as string,
    });
  });
});

describe("damaged Parquet files", () => {
  test.each<[string, (bytes: Buffer) => Buffer, RegExp]>([
    ["empty", () => Buffer.alloc(0), /not a whole Parquet file: it does not begin as Parquet files do/],
    ["of another kind", () => Buffer.from("PK\x03\x04 and more bytes than twelve"), /it does not begin/],
    ["cut short", (bytes) => bytes.subarray(0, -100), /it does not end as Parquet files do, it may be cut short/],
    ["encrypted", (bytes) => Buffer.concat([bytes.subarray(0, -4), Buffer.from("PARE")]), /it is encrypted/],
    [
      "with a long footer",
      (bytes) => (bytes.writeUInt32LE(1e9, bytes.length - 8), bytes),
      /its footer of 1000000000 bytes/,
    ],
    ["with a short footer", (bytes) => (bytes.writeUInt32LE(40, bytes.length - 8), bytes), /not a whole Parquet file/],
    [
      "with a flipped bit under a checksum",
      (bytes) => ((bytes[120]! ^= 4), bytes),
      /column prompt: the checksum of a page/,
    ],
  ])("%s are told in one sentence", async (_, damage, message) => {
    const path = join(temporaryFolder(), "a.parquet");
    put(path, damage(readFileSync(join(golden, "gzip-checksums.parquet"))));
    const error = await failure(read(path));
    expect(error).toMatchObject({ code: "bad-parquet", message: expect.stringMatching(message) as string });
    expect((error as Error).message.startsWith(`${path}: `)).toBe(true);
  });

  test("a missing file is not found", async () => {
    const source = { path: join(temporaryFolder(), "a.parquet"), format: "parquet", gzip: false, bytes: 0 } as const;
    const rows = readRows(source, { maxRowBytes: 100, invalidText: "error" }, new BadRows({}));
    expect(await failure(rows)).toMatchObject({ code: "not-found" });
  });

  test("with any bits flipped or any end missing give rows or a DataError, and soon", async () => {
    const folder = temporaryFolder();
    const contents = files.map((name) => readFileSync(join(golden, name)));
    const flips = fc.array(fc.tuple(fc.double({ min: 0, max: 1, noNaN: true }), fc.nat({ max: 255 })), {
      maxLength: 4,
    });
    const end = fc.oneof({ weight: 9, arbitrary: fc.constant(1) }, fc.double({ min: 0, max: 1, noNaN: true }));
    await fc.assert(
      fc.asyncProperty(fc.nat({ max: files.length - 1 }), flips, end, async (index, changes, share) => {
        const bytes = Buffer.from(contents[index]!);
        for (const [place, value] of changes) bytes[Math.floor(place * (bytes.length - 1))]! ^= value;
        const path = join(folder, "a.parquet");
        writeFileSync(path, bytes.subarray(0, Math.ceil(share * bytes.length)));
        let rows = 0;
        try {
          for await (const { value } of read(path)) {
            JSON.stringify(value);
            rows++;
          }
        } catch (error) {
          expect(error).toBeInstanceOf(DataError);
          expect((error as DataError).code).toMatch(/bad-parquet|inflation-limit|bad-row/);
          return;
        }
        expect(rows).toBeLessThanOrEqual(40);
      }),
      { numRuns: process.env["DANU_SOAK"] === undefined ? 1500 : 50_000 },
    );
  });
});

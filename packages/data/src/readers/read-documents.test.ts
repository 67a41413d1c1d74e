import { readFileSync, symlinkSync } from "node:fs";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import { describe, expect, test } from "vitest";
import { all, put, temporaryFolder } from "../../test/support.ts";
import type { DataErrorCode } from "../data-error.ts";
import type { BadRow } from "./bad-rows.ts";
import { readDocuments, type ReadOptions } from "./read-documents.ts";

async function textsOf(path: string, options?: ReadOptions): Promise<string[]> {
  return (await all(readDocuments([path], options))).map((document) => document.text);
}

async function fails(path: string, code: DataErrorCode, message: RegExp, options?: ReadOptions): Promise<void> {
  const error: unknown = await textsOf(path, options).then(
    (texts) => `read ${texts.length} documents`,
    (thrown: unknown) => thrown,
  );
  expect(error).toMatchObject({ name: "DataError", code, message: expect.stringMatching(message) as string });
}

describe("text files", () => {
  test("are one document each, without byte order mark and with plain line ends", async () => {
    const path = put(join(temporaryFolder(), "a.txt"), "\ufeffone\r\ntwo\rthree\n");
    expect(await all(readDocuments([path]))).toEqual([{ text: "one\ntwo\rthree\n", source: path, index: 0 }]);
  });

  test("are cut at lines <|endoftext|>, at another line, or not at all", async () => {
    const stories = "one\n<|endoftext|>\n\n<|endoftext|>\n\ntwo\n---\n\n2b\n<|endoftext|>";
    const path = put(join(temporaryFolder(), "stories.txt"), stories);
    expect(await textsOf(path)).toEqual(["one", "two\n---\n\n2b"]);
    expect(await textsOf(path, { documentSeparator: "---" })).toHaveLength(2);
    expect(await textsOf(path, { documentSeparator: null })).toEqual([readFileSync(path, "utf8")]);
  });

  test("without a visible character are passed over", async () => {
    const folder = temporaryFolder();
    put(join(folder, "a.txt"), "");
    put(join(folder, "b.txt"), "\ufeff \r\n");
    put(join(folder, "c.txt"), "c");
    expect(await all(readDocuments([folder]))).toEqual([{ text: "c", source: join(folder, "c.txt"), index: 0 }]);
  });

  test("with bytes that are not UTF-8 are refused by offset, or mended", async () => {
    const bytes = Buffer.concat([Buffer.alloc(300_000, "é\n"), Buffer.from([0xe9]), Buffer.from("nd")]);
    const path = put(join(temporaryFolder(), "latin.txt"), bytes);
    await fails(path, "bad-encoding", /latin\.txt: byte 300000 is not valid UTF-8/);
    expect((await textsOf(path, { invalidText: "replace" }))[0]?.endsWith("\n\ufffdnd")).toBe(true);
  });

  test("too long for one document are refused, or split", async () => {
    const path = put(join(temporaryFolder(), "long.txt"), "a line of text\n".repeat(50_000));
    await fails(path, "document-too-long", /longer than 100000 bytes; name the documentSeparator/, {
      maxDocumentBytes: 100_000,
    });
    const pieces = await textsOf(path, { maxDocumentBytes: 100_000, longDocuments: "split" });
    expect(pieces).toHaveLength(8);
    expect(pieces.join("")).toBe("a line of text\n".repeat(50_000));
  });
});

describe("rows", () => {
  const rows = '\ufeff{"text": "one", "n": 1}\r\n\r\n  \n{"n": 2, "text": "two\\r\\n\\u2028"}\n{"text": ""}\n"three"';

  test("of JSONL give their text as it stands", async () => {
    const path = put(join(temporaryFolder(), "a.jsonl"), rows);
    expect(await textsOf(path)).toEqual(["one", "two\r\n\u2028", "three"]);
    expect(await textsOf(put(join(temporaryFolder(), "b.NDJSON"), '{"body":"x"}\n'), { field: "body" })).toEqual(["x"]);
  });

  test("of JSON are elements of an array, one object, or objects in lines", async () => {
    const folder = temporaryFolder();
    expect(await textsOf(put(join(folder, "a.json"), '[{"text":"a"},\n "b"]'))).toEqual(["a", "b"]);
    expect(await textsOf(put(join(folder, "b.json"), '{\n "text":\n "a"}'))).toEqual(["a"]);
    expect(await textsOf(put(join(folder, "c.json"), '{"text":"a"}\n{"text":"b"}\n'))).toEqual(["a", "b"]);
    expect(await textsOf(put(join(folder, "d.json"), "[]"))).toEqual([]);
  });

  test.each<[string, string, RegExp]>([
    ["an array", "[]", /a\.jsonl:2: expected text in field "text", found an array/],
    ["a number", "5", /:2: .* found a number/],
    ["null", "null", /:2: .* found null/],
    ["a missing field", '{"txt": "x", "id": 1}', /:2: .* found the fields txt, id/],
    ["an inherited field", '{"__proto__": {"text": "x"}}', /:2: .* found the fields __proto__/],
    ["an empty object", "{}", /:2: .* found an empty object/],
    ["a text that is none", '{"text": ["a"]}', /:2: .* found an array in it/],
    ["a null text", '{"text": null}', /:2: .* found null in it/],
    ["broken JSON", '{"text": "x",}', /:2: not valid JSON/],
    ["two values in a line", "{} {}", /:2: not valid JSON/],
    ["a lone surrogate", '{"text": "\\ud800"}', /:2: .* lone surrogate/],
    ["a control character", '{"text": "\u0001"}', /:2: not valid JSON/],
  ])("that are %s are named by file and line, or passed over", async (_, line, message) => {
    const path = put(join(temporaryFolder(), "a.jsonl"), `{"text":"a"}\n${line}\n{"text":"b"}\n`);
    await fails(path, "bad-row", message);
    const bad: BadRow[] = [];
    expect(await textsOf(path, { badRows: "skip", onBadRow: (row) => bad.push(row) })).toEqual(["a", "b"]);
    expect(bad.map((row) => [row.source, row.line, row.row])).toEqual([[path, 2, line]]);
  });

  test("with bytes that are not UTF-8 are bad rows with the offset in the file", async () => {
    const bytes = Buffer.from('{"text":"a"}\n{"text":"\xff"}\n"c"\n', "latin1");
    const path = put(join(temporaryFolder(), "a.jsonl"), bytes);
    await fails(path, "bad-row", /:2: byte 22 is not valid UTF-8/);
    expect(await textsOf(path, { badRows: "skip" })).toEqual(["a", "c"]);
    expect(await textsOf(path, { invalidText: "replace" })).toEqual(["a", "\ufffd", "c"]);
  });

  test("cut short at the end of the file say so", async () => {
    const folder = temporaryFolder();
    await fails(put(join(folder, "a.jsonl"), '{"text":"a"}\n{"text":"b'), "bad-row", /:2: .*may be cut short/);
    const open = put(join(folder, "a.json"), '[{"text":"a"},\n{"text":"b"}');
    await fails(open, "bad-row", /a\.json:2: .*may be cut short/);
  });

  test("that are bad are quarantined with file, line, reason and content", async () => {
    const folder = temporaryFolder();
    const path = put(join(folder, "a.jsonl"), 'nonsense\n{"text":"good"}\n{"body":"x"}\n');
    const quarantine = join(folder, "bad rows.jsonl");
    expect(await textsOf(path, { badRows: "skip", quarantine })).toEqual(["good"]);
    const kept = readFileSync(quarantine, "utf8").trim().split("\n");
    expect(kept.map((line) => JSON.parse(line) as BadRow)).toMatchObject([
      { source: path, line: 1, row: "nonsense" },
      { source: path, line: 3, row: '{"body":"x"}', reason: 'expected text in field "text", found the fields body' },
    ]);
    await fails(path, "write-failed", /quarantine file cannot be written/, { badRows: "skip", quarantine: folder });
  });

  test("longer than the limit are refused, or passed over to the next line", async () => {
    const long = Buffer.alloc(64 * 1024 * 1024, "a");
    const line = Buffer.concat([Buffer.from('{"text":"'), long, Buffer.from('"}\n"b"\n')]);
    const path = put(join(temporaryFolder(), "a.jsonl.gz"), gzipSync(line, { level: 1 }));
    const options: ReadOptions = { maxDocumentBytes: 1 << 20, maxInflationRatio: 2000 };
    await fails(path, "bad-row", /:1: the row is longer than 1048576 bytes/, options);
    expect(await textsOf(path, { ...options, badRows: "skip" })).toEqual(["b"]);
  });
});

describe("gzip", () => {
  test("of every format is read, members one after another too", async () => {
    const folder = temporaryFolder();
    const members = Buffer.concat([gzipSync('{"text":"a"}\n{"te'), gzipSync('xt":"b"}\n')]);
    expect(await textsOf(put(join(folder, "a.jsonl.gz"), members))).toEqual(["a", "b"]);
    expect(await textsOf(put(join(folder, "b.txt.gz"), gzipSync("\ufeffa\r\nb")))).toEqual(["a\nb"]);
    expect(await textsOf(put(join(folder, "c.JSON.GZ"), gzipSync('["a"]')))).toEqual(["a"]);
  });

  test("that is none, is cut short or is damaged is refused", async () => {
    const folder = temporaryFolder();
    const good = gzipSync("some text ".repeat(1000));
    await fails(put(join(folder, "a.txt.gz"), "plain text"), "bad-gzip", /a\.txt\.gz: not a whole gzip file/);
    await fails(put(join(folder, "b.txt.gz"), ""), "bad-gzip", /cut short/);
    await fails(put(join(folder, "c.txt.gz"), good.subarray(0, -9)), "bad-gzip", /cut short/);
    const damaged = Buffer.from(good);
    damaged[damaged.length - 6]! ^= 1;
    await fails(put(join(folder, "d.txt.gz"), damaged), "bad-gzip", /incorrect data check/);
  });

  test("that inflates without end is stopped by ratio or by size", async () => {
    const bomb = put(join(temporaryFolder(), "bomb.txt.gz"), gzipSync(Buffer.alloc(40 << 20), { level: 9 }));
    await fails(bomb, "inflation-limit", /past the limit; raise maxInflatedBytes/);
    await fails(bomb, "inflation-limit", /past the limit/, { maxInflationRatio: 2000, maxInflatedBytes: 1 << 20 });
  });
});

describe("paths", () => {
  test("a folder stands for its readable files, sorted, with all below", async () => {
    const folder = temporaryFolder();
    for (const name of ["b/z.txt", "b.txt", "a.jsonl", "Ä b/ü.txt", "B.txt", "b/a.txt.gz"]) {
      const content = name.endsWith("l") ? JSON.stringify(name) : name;
      put(join(folder, name), name.endsWith(".gz") ? gzipSync(content) : content);
    }
    for (const name of ["README.md", ".hidden.txt", ".git/x.txt", "image.png"]) put(join(folder, name), "no");
    symlinkSync(folder, join(folder, "loop"));
    symlinkSync(join(folder, "b.txt"), join(folder, "c.txt"));
    expect(await textsOf(folder)).toEqual(["B.txt", "a.jsonl", "b/a.txt.gz", "b/z.txt", "b.txt", "b.txt", "Ä b/ü.txt"]);
  });

  test("that give nothing to read are refused", async () => {
    const folder = temporaryFolder();
    await fails(join(folder, "none.txt"), "not-found", /none\.txt: no such file or folder/);
    await fails(folder, "empty-corpus", /the folder has no file that can be read/);
    await fails(put(join(folder, "data.csv"), "a,b"), "unknown-format", /data\.csv: the format cannot be told/);
    expect(await textsOf(join(folder, "data.csv"), { format: "text" })).toEqual(["a,b"]);
    await fails("/dev/null", "unreadable", /expected a regular file or a folder/);
  });

  test("documents are numbered across files, and reading may stop early", async () => {
    const folder = temporaryFolder();
    put(join(folder, "a.jsonl"), '"0"\n"1"\n');
    put(join(folder, "b.jsonl.gz"), gzipSync('"2"\n"3"\n'));
    const seen: number[] = [];
    for await (const document of readDocuments([folder])) {
      expect(document.text).toBe(String(document.index));
      seen.push(document.index);
      if (document.index === 2) break;
    }
    expect(seen).toEqual([0, 1, 2]);
  });

  test.each<ReadOptions>([{ maxDocumentBytes: 2 ** 40 }, { maxDocumentBytes: 0.5 }, { documentSeparator: "" }])(
    "options are checked: %o",
    (options) => fails(".", "bad-option", /expected/, options),
  );
});

import { readFileSync, truncateSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { put, someHash, streamOf, temporaryFolder } from "../../test/support.ts";
import { DataError } from "../data-error.ts";
import { encodeHeader, headerBytes, parseHeader, type ShardHeader } from "./header.ts";
import { Shard } from "./shard.ts";
import { ShardWriter } from "./shard-writer.ts";

function write(path: string, documents: readonly (readonly number[])[], vocabularySize: number): ShardHeader {
  const writer = new ShardWriter(path, vocabularySize, someHash);
  for (const ids of documents) {
    writer.beginDocument();
    writer.write(ids);
  }
  return writer.finish();
}

function tokensOf(shard: Shard): number[] {
  const ids = new Int32Array(shard.header.tokens);
  shard.read(0, ids.length, ids, 0);
  return [...ids];
}

/** Opens, reads all and closes; the error, or null. */
function trouble(path: string, verify: boolean): unknown {
  try {
    const shard = new Shard(path, verify);
    shard.close();
    return null;
  } catch (error) {
    return error;
  }
}

const documents = [[1, 500, 2], [1, 2], [1, 700, 701, 702, 2]];

describe("a shard", () => {
  test.each([1000, 65536, 65537, 200_000])("of %i ids gives back what was written", (vocabularySize) => {
    const path = join(temporaryFolder(), "a.tokens");
    const ids = fc.array(fc.array(fc.nat(vocabularySize - 1), { minLength: 1 }));
    fc.assert(
      fc.property(ids, (lists) => {
        const header = write(path, lists, vocabularySize);
        const shard = new Shard(path, true);
        try {
          expect(shard.header).toEqual(header);
          expect(header.tokenBytes).toBe(vocabularySize <= 65536 ? 2 : 4);
          expect(tokensOf(shard)).toEqual(lists.flat());
          expect([...shard.documentStarts]).toEqual(lists.map((_, i) => lists.slice(0, i).flat().length));
        } finally {
          shard.close();
        }
      }),
      { numRuns: 50 },
    );
  });

  test("longer than the writer's buffer is whole", () => {
    const path = join(temporaryFolder(), "a.tokens");
    const ids = Uint32Array.from({ length: 600_001 }, (_, i) => (i * 7919) % 60_000);
    write(path, [[...ids.subarray(0, 5)], [...ids.subarray(5)]], 60_000);
    const shard = new Shard(path, true);
    expect(tokensOf(shard)).toEqual([...ids]);
    shard.close();
  });

  test("with any byte flipped is refused at once, or by its hash", () => {
    const path = join(temporaryFolder(), "a.tokens");
    write(path, documents, 1000);
    const whole = readFileSync(path);
    for (let i = 0; i < whole.length; i++) {
      for (const bit of [1, 0x80, 0xff]) {
        const damaged = Buffer.from(whole);
        damaged[i]! ^= bit;
        writeFileSync(path, damaged);
        if (i < headerBytes) expect(trouble(path, false), `byte ${i}`).toMatchObject({ code: "bad-shard" });
        expect(trouble(path, true), `byte ${i}`).toBeInstanceOf(DataError);
      }
    }
  });

  test("of any other length is refused", () => {
    const path = join(temporaryFolder(), "a.tokens");
    write(path, documents, 1000);
    const whole = readFileSync(path);
    for (let length = 0; length < whole.length; length++) {
      writeFileSync(path, whole.subarray(0, length));
      expect(trouble(path, false), `${length} bytes`).toMatchObject({ code: "bad-shard" });
    }
    writeFileSync(path, Buffer.concat([whole, Buffer.alloc(1)]));
    expect(trouble(path, false)).toMatchObject({ code: "bad-shard" });
  });

  test("cut short while it is open is noticed when read", () => {
    const path = join(temporaryFolder(), "a.tokens");
    write(path, documents, 1000);
    const shard = new Shard(path);
    truncateSync(path, headerBytes + 4);
    expect(() => tokensOf(shard)).toThrow(/ends 16 bytes early/);
    shard.close();
  });

  test.each<[string, Partial<ShardHeader>]>([
    ["more tokens than the file", { tokens: 2 ** 31 }],
    ["tokens past any file", { tokens: 2 ** 60 }],
    ["more documents than tokens", { documents: 11 }],
    ["no documents", { documents: 0 }],
    ["documents past any file", { documents: 2 ** 52 }],
    ["a width that does not fit the vocabulary", { tokenBytes: 4 }],
    ["an impossible width", { tokenBytes: 0 as 2 }],
    ["no vocabulary", { vocabularySize: 0 }],
    ["a large vocabulary", { vocabularySize: 70_000 }],
  ])("whose well-sealed header claims %s is refused", (_, lie) => {
    const path = join(temporaryFolder(), "a.tokens");
    const header = write(path, documents, 1000);
    const body = readFileSync(path).subarray(headerBytes);
    writeFileSync(path, Buffer.concat([encodeHeader({ ...header, ...lie }), body]));
    expect(trouble(path, false)).toMatchObject({ code: "bad-shard" });
  });

  test("with ids past its vocabulary is found by verification", () => {
    const path = join(temporaryFolder(), "a.tokens");
    const header = write(path, documents, 1000);
    const body = readFileSync(path).subarray(headerBytes);
    writeFileSync(path, Buffer.concat([encodeHeader({ ...header, vocabularySize: 600 }), body]));
    const message = expect.stringMatching(/holds id 700/) as string;
    expect(trouble(path, true)).toMatchObject({ code: "bad-shard", message });
  });

  test("any bytes as a header give an error, never another failure", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), fc.nat(), (bytes, size) => {
        expect(() => parseHeader(Buffer.from(bytes), size, "a")).toThrow(DataError);
      }),
    );
  });

  test.each([-1, 1000, 1.5, NaN])("takes no id %d", (id) => {
    const writer = new ShardWriter(join(temporaryFolder(), "a.tokens"), 1000, someHash);
    expect(() => writer.write([1, id])).toThrow(/expected an integer from 0 to 999/);
    writer.abort();
  });

  test("that is a folder or missing is named", () => {
    const folder = temporaryFolder();
    expect(trouble(folder, false)).toMatchObject({ code: "unreadable" });
    expect(trouble(join(folder, "x"), false)).toMatchObject({ code: "not-found" });
    expect(trouble(put(join(folder, "text"), "x".repeat(500)), false)).toMatchObject({ code: "bad-shard" });
  });
});

describe("a stream of shards", () => {
  test("reads and finds documents as one sequence", () => {
    const lists = fc.array(fc.array(fc.nat(999), { minLength: 1, maxLength: 6 }), { minLength: 1, maxLength: 12 });
    fc.assert(
      fc.property(lists, fc.integer({ min: 1, max: 5 }), fc.nat(), fc.nat(), (docs, perShard, from, length) => {
        const stream = streamOf(docs, perShard);
        const flat = docs.flat();
        const start = from % flat.length;
        const count = length % (flat.length - start + 1);
        const ids = new Int32Array(count);
        stream.read(start, count, ids);
        expect([...ids]).toEqual(flat.slice(start, start + count));
        const starts = docs.map((_, i) => docs.slice(0, i).flat().length);
        expect(starts.map((_, i) => stream.documentStart(i))).toEqual(starts);
        expect(stream.documentStart(docs.length)).toBe(flat.length);
        flat.forEach((_, i) => expect(stream.documentAt(i)).toBe(starts.findLastIndex((s) => s <= i)));
        expect(() => stream.read(start, flat.length - start + 1, ids)).toThrow(RangeError);
        stream.close();
      }),
      { numRuns: 60 },
    );
  });
});

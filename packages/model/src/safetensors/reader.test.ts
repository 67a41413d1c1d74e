import { execFileSync } from "node:child_process";
import {
  mkdirSync,
  openSync,
  closeSync,
  ftruncateSync,
  readFileSync,
  readdirSync,
  statfsSync,
  truncateSync,
  writeFileSync,
  writeSync,
} from "node:fs";
import type { FileHandle } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { held, rawFile, temporaryFolder, tensors } from "../../test/safetensors-files.ts";
import { FileError, SafetensorsError } from "./errors.ts";
import { readExactly } from "./read-file.ts";
import { openSafetensors } from "./reader.ts";
import { encodeHeader, torchMetadata, writeSafetensors } from "./writer.ts";

describe("openSafetensors and writeSafetensors", () => {
  it("round-trip any tensors and metadata, in either order", async () => {
    const folder = temporaryFolder();
    const metadata = fc.dictionary(fc.string({ unit: "binary" }), fc.string({ unit: "binary" }));
    await fc.assert(
      fc.asyncProperty(tensors, metadata, fc.constantFrom("aligned", "given"), async (sources, texts, order) => {
        const path = join(folder, "a.safetensors");
        await writeSafetensors(path, sources, { metadata: texts, order: order as "aligned" | "given" });
        const file = await openSafetensors(path);
        if (order === "given") {
          const filled = sources.filter(({ bytes }) => bytes.byteLength > 0).map(({ name }) => name);
          expect(file.names.filter((name) => file.info(name).byteLength > 0)).toEqual(filled);
        }
        expect(Object.entries(file.metadata)).toEqual(Object.entries(texts));
        for (const { name, dtype, shape, bytes } of sources) {
          expect(file.info(name)).toMatchObject({ dtype, shape });
          expect(Buffer.compare(await file.read(name), bytes)).toBe(0);
        }
        await file.close();
      }),
      { numRuns: 60 }
    );
    expect(readdirSync(folder)).toEqual(["a.safetensors"]);
  });

  it("keep every tensor aligned to its element size, one tensor in memory at a time", async () => {
    const path = join(temporaryFolder(), "a.safetensors");
    let open = 0;
    const source = (name: string, dtype: "U8" | "F32" | "BF16", size: number, count: number) => ({
      name,
      dtype,
      shape: [count],
      read: async () => {
        expect(++open).toBe(1);
        await Promise.resolve();
        open--;
        return new Uint8Array(size * count);
      },
    });
    await writeSafetensors(path, [source("a", "U8", 1, 3), source("b", "BF16", 2, 5), source("c", "F32", 4, 1)]);
    const file = await openSafetensors(path);
    expect(file.names).toEqual(["c", "b", "a"]);
    expect(file.metadata).toEqual({ format: "pt" });
    expect(await file.read("c")).toHaveProperty("byteOffset", 0);
    await file.close();
  });

  it("reads into a given array and refuses one of another length", async () => {
    const path = join(temporaryFolder(), "a.safetensors");
    await writeSafetensors(path, [held("a", "U8", [3], Uint8Array.of(1, 2, 3))]);
    const file = await openSafetensors(path);
    const target = new Uint8Array(5);
    await file.read("a", target.subarray(1, 4));
    expect([...target]).toEqual([0, 1, 2, 3, 0]);
    await expect(file.read("a", target)).rejects.toThrow(/expected 3 bytes to read "a" into, got 5/);
    await expect(file.read("b")).rejects.toThrow(/expected a tensor "b", it holds "a"/);
    await file.close();
    await file.close();
    await expect(file.read("a")).rejects.toThrow(FileError);
  });

  it("refuses tensors that do not fit their description, and leaves no file", async () => {
    const folder = temporaryFolder();
    const path = join(folder, "a.safetensors");
    const one = Uint8Array.of(1);
    const cases: [string, Parameters<typeof writeSafetensors>[1]][] = [
      ["tensor-size", [held("a", "U8", [2], one)]],
      ["duplicate-key", [held("a", "U8", [1], one), held("a", "U8", [1], one)]],
      ["duplicate-key", [held("__metadata__", "U8", [1], one)]],
      ["shape", [held("a", "U8", [1.5], one)]],
      ["shape", [held("a", "U8", [-1], one)]],
      ["sub-byte", [held("a", "F4", [1], one)]],
      ["dtype", [held("a", "f32" as never, [1], one)]],
      ["utf-8", [held("\ud800", "U8", [1], one)]],
    ];
    for (const [reason, sources] of cases) {
      const error = await writeSafetensors(path, sources).catch((caught: unknown) => caught);
      expect(error).toBeInstanceOf(SafetensorsError);
      expect((error as SafetensorsError).data["reason"]).toBe(reason);
      expect(readdirSync(folder)).toEqual([]);
    }
    await expect(writeSafetensors(path, [], { metadata: { a: 1 as never } })).rejects.toThrow(/expected a string/);
  });
});

describe("openSafetensors refuses", () => {
  it("a truncated or grown file at every length", async () => {
    const folder = temporaryFolder();
    const path = join(folder, "a.safetensors");
    await writeSafetensors(path, [held("a", "F32", [2], new Uint8Array(8))]);
    const whole = readFileSync(path);
    for (let size = 0; size < whole.byteLength; size++) {
      writeFileSync(path, whole.subarray(0, size));
      await expect(openSafetensors(path)).rejects.toThrow(SafetensorsError);
    }
    writeFileSync(path, Buffer.concat([whole, Uint8Array.of(0)]));
    await expect(openSafetensors(path)).rejects.toThrow(/expected a file of \d+ bytes, as the header says, got \d+/);
  });

  it("a file that shrinks while it is open", async () => {
    const path = join(temporaryFolder(), "a.safetensors");
    await writeSafetensors(path, [held("a", "U8", [100], new Uint8Array(100))]);
    const file = await openSafetensors(path);
    truncateSync(path, 120);
    await expect(file.read("a")).rejects.toThrow(/it ended at byte 120, shorter than when it was opened/);
    await file.close();
  });

  it("what is no readable file, without waiting on it", async () => {
    const folder = temporaryFolder();
    mkdirSync(join(folder, "d"));
    await expect(openSafetensors(join(folder, "d"))).rejects.toThrow(
      /cannot read .*: it is (not a regular file|a folder)/
    );
    await expect(openSafetensors(join(folder, "none"))).rejects.toThrow(/there is no such file or folder/);
    if (process.platform !== "linux") return;
    execFileSync("mkfifo", [join(folder, "pipe")]);
    await expect(openSafetensors(join(folder, "pipe"))).rejects.toThrow(/not a regular file/);
    await expect(openSafetensors("/dev/zero")).rejects.toThrow(/not a regular file/);
  });

  it("a header length that would take memory the file does not have", async () => {
    const path = join(temporaryFolder(), "a.safetensors");
    writeFileSync(path, rawFile("{}", new Uint8Array(0), 99_999_999n));
    await expect(openSafetensors(path)).rejects.toThrow(/expected a header within the file's 10 bytes/);
  });
});

const free = statfsSync(tmpdir());
const sparseBytes = 3 * 2 ** 30;

describe.skipIf(process.platform === "win32" || free.bavail * free.bsize < sparseBytes)(
  "files over 2 GiB (skipped where the disk could not hold one or has no sparse files)",
  () => {
    it("are read at the right places", async () => {
      const path = join(temporaryFolder(), "large.safetensors");
      const big = { name: "big", dtype: "U8" as const, shape: [2 ** 31 + 8], read: () => new Uint8Array(0) };
      const last = held("last", "F32", [1], Uint8Array.of(1, 2, 3, 4));
      const header = encodeHeader([big, last], torchMetadata, path);
      const fd = openSync(path, "w");
      writeSync(fd, header);
      writeSync(fd, Uint8Array.of(9), 0, 1, header.byteLength + 2 ** 31 + 7);
      writeSync(fd, last.bytes, 0, 4, header.byteLength + 2 ** 31 + 8);
      ftruncateSync(fd, header.byteLength + 2 ** 31 + 12);
      closeSync(fd);
      const file = await openSafetensors(path);
      expect([...(await file.read("last"))]).toEqual([1, 2, 3, 4]);
      // Two gigabytes of memory are for a soak only (`DANU_SOAK=1`); the test below covers the chunks.
      if (process.env["DANU_SOAK"]) expect((await file.read("big"))[2 ** 31 + 7]).toBe(9);
      await file.close();
    });
  }
);

describe("readExactly", () => {
  it("asks for no more than a system call takes and goes on after short reads", async () => {
    const calls: [number, number, number][] = [];
    const read = async (_: Uint8Array, offset: number, length: number, position: number) => {
      calls.push([offset, length, position]);
      return { bytesRead: Math.min(length, 2 ** 30 - 1) };
    };
    // Untouched memory costs nothing.
    await readExactly({ read } as unknown as FileHandle, "large", 10, new Uint8Array(2 ** 31 + 8));
    expect(calls).toEqual([
      [0, 2 ** 30, 10],
      [2 ** 30 - 1, 2 ** 30, 2 ** 30 + 9],
      [2 ** 31 - 2, 10, 2 ** 31 + 8],
    ]);
  });
});

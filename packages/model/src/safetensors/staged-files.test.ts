import { spawn } from "node:child_process";
import { mkdirSync, readFileSync, readdirSync, writeFileSync } from "node:fs";
import type { FileHandle } from "node:fs/promises";
import { join, resolve } from "node:path";
import fc from "fast-check";
import { build } from "tsup";
import { beforeEach, describe, expect, it, vi } from "vitest";
import { held, temporaryFolder } from "../../test/safetensors-files.ts";
import { FileError } from "./errors.ts";
import { openSafetensors } from "./reader.ts";
import { StagedFiles, checkFreeSpace, writeTogether } from "./staged-files.ts";
import { writeSafetensors } from "./writer.ts";

/** The disk as the code sees it: every step may be the one that fails, and writes may be short. */
const disk = vi.hoisted(() => ({
  step: 0,
  failAt: Infinity,
  errno: "ENOSPC",
  longestWrite: Infinity,
  freeBytes: undefined as number | undefined,
}));

vi.mock("node:fs/promises", async (original) => {
  const real = await original<typeof import("node:fs/promises")>();
  const step = async <T>(run: () => Promise<T>): Promise<T> => {
    if (++disk.step === disk.failAt) throw Object.assign(new Error(disk.errno), { code: disk.errno });
    return run();
  };
  const wrap = (handle: FileHandle) => ({
    write: (bytes: Uint8Array, offset: number, length: number) =>
      step(() => handle.write(bytes, offset, Math.min(length, disk.longestWrite))),
    read: (bytes: Uint8Array, offset: number, length: number, position: number) =>
      handle.read(bytes, offset, length, position),
    stat: () => handle.stat(),
    sync: () => step(() => handle.sync()),
    // A handle whose close reports an error is closed all the same.
    close: () => step(async () => undefined).finally(() => handle.close()),
  });
  return {
    ...real,
    open: (...args: Parameters<typeof real.open>) => step(async () => wrap(await real.open(...args))),
    rename: (from: string, to: string) => step(() => real.rename(from, to)),
    statfs: async (path: string) => {
      const stat = await real.statfs(path);
      return disk.freeBytes === undefined ? stat : { ...stat, blocks: 1, bsize: 1, bavail: disk.freeBytes };
    },
  };
});

beforeEach(() => {
  Object.assign(disk, { step: 0, failAt: Infinity, errno: "ENOSPC", longestWrite: Infinity, freeBytes: undefined });
});

const tensors = [held("a", "F32", [3], new Uint8Array(12).fill(7)), held("b", "U8", [5], new Uint8Array(5).fill(8))];

describe("writeSafetensors", () => {
  it.each(["ENOSPC", "EDQUOT", "EIO", "EACCES"])(
    "keeps the old file whole when any step fails with %s",
    async (errno) => {
      const folder = temporaryFolder();
      const path = join(folder, "model.safetensors");
      await writeSafetensors(path, tensors);
      const fresh = readFileSync(path);
      const steps = disk.step;
      // open, header, two tensors, sync, close, rename; open, sync and close the folder
      expect(steps).toBe(10);
      for (let failAt = 1; failAt <= steps; failAt++) {
        writeFileSync(path, "old");
        Object.assign(disk, { step: 0, failAt, errno });
        const error = await writeSafetensors(path, tensors).catch((caught: unknown) => caught);
        expect(readdirSync(folder)).toEqual(["model.safetensors"]);
        const renamed = failAt > 7;
        expect(readFileSync(path).equals(renamed ? fresh : Buffer.from("old"))).toBe(true);
        expect(error).toBeInstanceOf(FileError);
        expect((error as FileError).data["errno"]).toBe(errno);
        expect((error as FileError).message).toMatch(/^cannot write .*: [a-z/ ]+; [a-z ]+$/);
      }
    }
  );

  it("goes on after short writes", async () => {
    const path = join(temporaryFolder(), "model.safetensors");
    disk.longestWrite = 3;
    await writeSafetensors(path, tensors);
    const file = await openSafetensors(path);
    expect([...(await file.read("b"))]).toEqual([8, 8, 8, 8, 8]);
    await file.close();
  });

  it("says how much space is missing before it writes anything", async () => {
    const folder = temporaryFolder();
    disk.freeBytes = 16;
    const error = await writeSafetensors(join(folder, "model.safetensors"), tensors).catch((caught: unknown) => caught);
    expect((error as Error).message).toContain("expected 17 bytes of free disk space, got 16");
    expect(disk.step).toBe(0);
    expect(readdirSync(folder)).toEqual([]);
    disk.freeBytes = 17;
    await checkFreeSpace(folder, 17);
  });

  it("never shows an unfinished file under the final name", async () => {
    const folder = temporaryFolder();
    const path = join(folder, "model.safetensors");
    writeFileSync(path, "old");
    const read = (): Uint8Array => {
      expect(readFileSync(path, "utf8")).toBe("old");
      expect(readdirSync(folder).filter((name) => !name.endsWith(".tmp"))).toEqual(["model.safetensors"]);
      return Uint8Array.of(1);
    };
    await writeSafetensors(
      path,
      ["a", "b", "c"].map((name) => ({ name, dtype: "U8", shape: [1], read }))
    );
    expect(readdirSync(folder)).toEqual(["model.safetensors"]);
  });

  it("into a folder that is missing, a file, or in the way gives one sentence", async () => {
    const folder = temporaryFolder();
    writeFileSync(join(folder, "file"), "");
    mkdirSync(join(folder, "taken.safetensors", "x"), { recursive: true });
    await expect(writeSafetensors(join(folder, "none", "a"), tensors)).rejects.toThrow(
      /there is no such file or folder/
    );
    await expect(writeSafetensors(join(folder, "file", "a"), tensors)).rejects.toThrow(/a part of the path is a file/);
    await expect(writeSafetensors(join(folder, "taken.safetensors"), tensors)).rejects.toThrow(/cannot write/);
    expect(readdirSync(folder).sort()).toEqual(["file", "taken.safetensors"]);
  });
});

describe("StagedFiles", () => {
  it("puts all files in place or, if one cannot be completed, none", async () => {
    await fc.assert(
      fc.asyncProperty(fc.integer({ min: 1, max: 5 }), fc.nat(5), async (count, broken) => {
        const folder = temporaryFolder();
        const names = Array.from({ length: count }, (_, index) => `f${index}`);
        for (const name of names) writeFileSync(join(folder, name), "old");
        const fails = broken < count;
        const done = writeTogether(async (files) => {
          for (const [index, name] of names.entries()) {
            await files.add(join(folder, name), async (sink) => {
              await sink.write(Buffer.from("new"));
              if (index === broken) throw new RangeError("no more");
            });
          }
        });
        if (fails) await expect(done).rejects.toThrow(RangeError);
        else await done;
        expect(readdirSync(folder).sort()).toEqual(names);
        for (const name of names) expect(readFileSync(join(folder, name), "utf8")).toBe(fails ? "old" : "new");
      }),
      { numRuns: 20 }
    );
  });

  it("leaves out a file that failed, even if its caller goes on", async () => {
    const folder = temporaryFolder();
    const files = new StagedFiles();
    await files.add(join(folder, "good"), (sink) => sink.write(Buffer.from("good")));
    await files.add(join(folder, "bad"), () => Promise.reject(new Error("bad"))).catch(() => undefined);
    await files.commit();
    expect(readdirSync(folder)).toEqual(["good"]);
  });
});

describe.skipIf(process.platform === "win32")(
  "a save killed at any time (skipped on Windows, which has no SIGKILL)",
  () => {
    it("leaves the old or the new file, whole", async () => {
      const folder = temporaryFolder();
      const script = await bundleWriter(folder);
      const path = join(folder, "model.safetensors");
      const seen = new Set<number>();
      for (let round = 0; round < 12; round++) {
        await writeAndKill(script, path, round * 4);
        const file = await openSafetensors(path);
        const values = new Set<number>();
        for (const name of file.names) for (const byte of await file.read(name)) values.add(byte);
        expect(values.size).toBe(1);
        for (const value of values) seen.add(value);
        await file.close();
      }
      expect(seen.size).toBeGreaterThan(0);
    });
  }
);

/** A script that saves again and again, each time with other bytes. */
async function bundleWriter(folder: string): Promise<string> {
  const entry = join(folder, "entry.ts");
  writeFileSync(
    entry,
    `
    import { writeSafetensors } from ${JSON.stringify(resolve(import.meta.dirname, "writer.ts"))};
    for (let value = 0; ; value = (value + 1) % 256) {
      const read = () => new Uint8Array(50_000).fill(value);
      const tensors = Array.from({ length: 8 }, (_, i) => ({ name: "t" + i, dtype: "U8", shape: [50_000], read }));
      await writeSafetensors(process.argv[2], tensors);
      process.stdout.write(".");
    }`
  );
  await build({
    entry: { writer: entry },
    outDir: folder,
    format: ["esm"],
    target: "node20",
    silent: true,
    config: false,
    dts: false,
    noExternal: [/@danu/],
    external: ["koffi"],
    outExtension: () => ({ js: ".mjs" }),
    esbuildOptions: (options) => void (options.conditions = ["@danu/source"]),
  });
  return join(folder, "writer.mjs");
}

/** Starts the script and kills it some milliseconds after its first save. */
function writeAndKill(script: string, path: string, delay: number): Promise<void> {
  return new Promise((done, fail) => {
    const child = spawn(process.execPath, [script, path], { stdio: ["ignore", "pipe", "pipe"] });
    let errors = "";
    child.stderr.on("data", (text: Buffer) => (errors += text.toString()));
    child.stdout.once("data", () => setTimeout(() => child.kill("SIGKILL"), delay));
    child.on("exit", (_, signal) => (signal === "SIGKILL" ? done() : fail(new Error(errors))));
  });
}

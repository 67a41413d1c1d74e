import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test, vi } from "vitest";
import { byteTokenizer, put, someHash, temporaryFolder } from "../../test/support.ts";
import { prepareDataset } from "./prepare-dataset.ts";

const disk = vi.hoisted(() => ({ calls: 0, failAt: Infinity, code: "", log: [] as string[] }));

vi.mock("node:fs", async (original) => {
  const fs = await original<typeof import("node:fs")>();
  const failing = <A extends unknown[], R>(f: (...args: A) => R) => {
    return (...args: A): R => {
      disk.log.push(f.name);
      if (disk.calls++ !== disk.failAt) return f(...args);
      throw Object.assign(new Error(`${disk.code}: injected`), { code: disk.code });
    };
  };
  return {
    ...fs,
    writeSync: failing(fs.writeSync),
    fsyncSync: failing(fs.fsyncSync),
    renameSync: failing(fs.renameSync),
    openSync: failing(fs.openSync),
    mkdirSync: failing(fs.mkdirSync),
  };
});

async function injected<R>(failAt: number, code: string, action: () => Promise<R>): Promise<R> {
  Object.assign(disk, { calls: 0, failAt, code });
  try {
    return await action();
  } finally {
    disk.failAt = Infinity;
  }
}

test("a failure at any write, sync, rename or open leaves the old dataset whole and nothing beside it", async () => {
  const folder = temporaryFolder();
  const inputs = [put(join(folder, "in", "a.jsonl"), '"one"\n"two"\n"three"\n"four"\n')];
  const out = join(folder, "place", "data");
  const base = { tokenizer: byteTokenizer, tokenizerHash: someHash, inputs, out, validationFraction: 0.25 };
  await prepareDataset(base);
  const before = readFileSync(join(out, "dataset.json"), "utf8");
  const options = { ...base, overwrite: true, seed: 5 };

  let failAt = 0;
  for (; failAt < 1000; failAt++) {
    const code = ["ENOSPC", "EIO", "EDQUOT", "EACCES"][failAt % 4] ?? "EIO";
    const error: unknown = await injected(failAt, code, () => prepareDataset(options)).then(
      () => null,
      (thrown: unknown) => thrown,
    );
    if (disk.calls <= failAt) break;
    expect(error, `call ${failAt}`).toMatchObject({ name: "DataError", code: "write-failed" });
    expect(readdirSync(join(folder, "place")), `call ${failAt}`).toEqual(["data"]);
    expect(readFileSync(join(out, "dataset.json"), "utf8")).toBe(before);
  }
  expect(failAt).toBeGreaterThan(20);
  expect(readFileSync(join(out, "dataset.json"), "utf8")).not.toBe(before);
});

test("every file is synced before it is renamed, and the folder before and after its own renaming", async () => {
  const folder = temporaryFolder();
  const inputs = [put(join(folder, "a.jsonl"), '"one"\n"two"\n"three"\n"four"\n')];
  const base = { tokenizer: byteTokenizer, tokenizerHash: someHash, inputs };
  disk.log.length = 0;
  await prepareDataset({ ...base, out: join(folder, "out"), validationFraction: 0.25 });
  const steps = disk.log.filter((name) => name !== "openSync" && name !== "mkdirSync");
  const shard = ["fsyncSync", "renameSync"];
  const withoutWrites = steps.filter((name) => name !== "writeSync");
  expect(withoutWrites).toEqual([...shard, ...shard, "fsyncSync", "fsyncSync", "renameSync", "fsyncSync"]);
});

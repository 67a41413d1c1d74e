import { cp, mkdir, readdir, readFile, rename, rm, truncate, writeFile } from "node:fs/promises";
import { join } from "node:path";

import { disposeTree, referenceDevice } from "@danu/tensor";
import fc from "fast-check";
import { expect, test } from "vitest";

import { failingFileSystem, type Failure } from "../../test/failing-file-system.ts";
import {
  fingerprint, inFolder, toyBatch, toyTensorFiles, toyTrainer, type ToyBatch, type ToyParams,
} from "../../test/toy.ts";
import { nodeFileSystem, writeSynced, type FileSystem } from "../files.ts";
import type { Trainer } from "../trainer.ts";
import { CheckpointStore, listCheckpoints } from "./store.ts";

type Toy = Trainer<ToyParams, ToyBatch>;

const base = {
  tokens: 10, seconds: 1.5, seed: 3, schedule: { kind: "cosine" }, dataPosition: [1, 2], versions: { danu: "0.1.0" },
};
const device = referenceDevice();

const trained = new Map<number, Promise<Toy>>();

/** A trainer after so many steps; the same one each time, so that tests spend their time on files. */
function trainedTo(step: number): Promise<Toy> {
  const known = trained.get(step) ?? trainFor(step);
  trained.set(step, known);
  return known;
}

async function trainFor(step: number): Promise<Toy> {
  const trainer = toyTrainer(device);
  for (let i = 0; i < step; i++) {
    const batch = toyBatch(device, i);
    await trainer.step([batch], 0.1);
    disposeTree(batch);
  }
  return trainer;
}

function storeIn(folder: string, keepLast = 2, fileSystem: FileSystem = nodeFileSystem): CheckpointStore {
  return new CheckpointStore({ folder, keepLast, fileSystem, tensorFiles: toyTensorFiles(fileSystem) });
}

async function save(store: CheckpointStore, step: number, fs: FileSystem = nodeFileSystem): Promise<void> {
  const trainer = await trainedTo(step);
  await store.save(trainer, { ...base, step }, async (folder) => {
    await writeSynced(join(folder, "config.json"), `{"step": ${step}}`, fs);
    await writeSynced(join(folder, "model.safetensors"), `weights of step ${step}`, fs);
  });
}

/** Steps of the checkpoint a fresh process would go on from, and of those it would pass over. */
async function resumed(folder: string): Promise<{ step: number | null; damaged: string[] }> {
  const trainer = toyTrainer(device);
  const restored = await storeIn(folder).restoreNewest(trainer);
  if (restored === null) return { step: null, damaged: [] };
  const { state, checkpoint, damaged } = restored;
  const expected = await trainedTo(state.step);
  expect(await fingerprint(trainer)).toBe(await fingerprint(expected));
  expect(state).toMatchObject({ ...base, step: checkpoint.step });
  expect(await readFile(join(checkpoint.folder, "model.safetensors"), "utf8")).toBe(`weights of step ${state.step}`);
  trainer[Symbol.dispose]();
  return { step: state.step, damaged: damaged.map(({ message }) => message) };
}

async function flipBit(path: string, bit: number): Promise<void> {
  const bytes = await readFile(path);
  bytes[bit >> 3]! ^= 1 << (bit & 7);
  await writeFile(path, bytes);
}

const steps = async (folder: string): Promise<number[]> => (await listCheckpoints(folder)).map(({ step }) => step);

test("a checkpoint is a model folder with trainer/ and a manifest, and comes back bit for bit", async () => {
  await inFolder(async (root) => {
    const folder = join(root, "checkpoints");
    expect(await resumed(folder)).toEqual({ step: null, damaged: [] });
    await save(storeIn(folder), 3);
    expect(await readdir(folder)).toEqual(["step-00000003"]);
    const files = (await readdir(join(folder, "step-00000003"))).sort();
    expect(files).toEqual(["config.json", "manifest.json", "model.safetensors", "trainer"]);
    const manifestPath = join(folder, "step-00000003", "manifest.json");
    const manifest = JSON.parse(await readFile(manifestPath, "utf8")) as { files: object };
    expect(Object.keys(manifest.files)).toEqual([
      "config.json", "model.safetensors", "trainer/optimizer.safetensors", "trainer/state.json",
    ]);
    expect(await resumed(folder)).toEqual({ step: 3, damaged: [] });
  });
});

test("keepLast counts from the newest, and never removes what a resumed run may still need", async () => {
  await inFolder(async (folder) => {
    for (const step of [1, 2, 3, 4]) await save(storeIn(folder), step);
    expect(await steps(folder)).toEqual([3, 4]);
    await flipBit(join(folder, "step-00000004", "config.json"), 3);
    expect((await resumed(folder)).step).toBe(3);
    // Step 4 is damaged and newer: it must not push out the good one of step 3.
    await rename(join(folder, "step-00000004"), join(folder, "step-00000006"));
    await save(storeIn(folder, 1), 5);
    expect(await steps(folder)).toEqual([5, 6]);
    expect((await resumed(folder)).step).toBe(5);
    await save(storeIn(folder, 1), 6);
    expect(await steps(folder)).toEqual([6]);
    expect(await resumed(folder)).toEqual({ step: 6, damaged: [] });
  });
  expect(() => storeIn("x", 0)).toThrow("expected to keep at least 1, got 0");
});

/** Fails a save of step 3 at every operation in turn, in a folder that `prepare` made; `check` gets what is left. */
async function failEverywhere(
  prepare: (folder: string) => Promise<void>, errno: string | undefined,
  check: (folder: string, error: Error | null) => Promise<void>,
): Promise<number> {
  let operations = 0;
  await inFolder(async (root) => {
    await mkdir(join(root, "prepared"));
    await prepare(join(root, "prepared"));
    for (let at = 1; ; at++) {
      const folder = join(root, `failure ${at}`);
      await cp(join(root, "prepared"), folder, { recursive: true });
      const failure: Failure = errno === undefined ? { at } : { at, errno };
      const fs = failingFileSystem(failure);
      const error = await save(storeIn(folder, 1, fs), 3, fs).then(() => null, (reason: unknown) => reason as Error);
      operations = fs.operations();
      await check(folder, error);
      await rm(folder, { recursive: true });
      if (operations < at) break;
    }
  });
  return operations;
}

const earlier = async (folder: string): Promise<void> => save(storeIn(folder), 2);
const earlierAndDamaged = async (folder: string): Promise<void> => {
  await save(storeIn(folder), 2);
  await save(storeIn(folder), 3);
  await truncate(join(folder, "step-00000003", "model.safetensors"), 5);
};
const sameStep = async (folder: string): Promise<void> => save(storeIn(folder), 3);

test.each([
  ["after an earlier one", earlier, [2, 3]],
  ["over a damaged one", earlierAndDamaged, [2, 3]],
  ["over the only one", sameStep, [3]],
] as const)("a kill at any operation of a save %s leaves a complete checkpoint", async (_, prepare, allowed) => {
  const seen = new Set<number | null>();
  const operations = await failEverywhere(prepare, undefined, async (folder, error) => {
    const { step, damaged } = await resumed(folder);
    expect(allowed).toContain(step);
    if (error === null) expect(step).toBe(3);
    if (prepare !== earlierAndDamaged) expect(damaged).toEqual([]);
    seen.add(step);
    expect((await readdir(folder)).filter((name) => name.startsWith("."))).toEqual([]);
    // The next process can save here.
    await save(storeIn(folder, 1), 4);
    expect((await resumed(folder)).step).toBe(4);
  });
  expect(operations).toBeGreaterThan(25);
  expect([...seen].sort()).toEqual([...allowed]);
});

const errnos = ["ENOSPC", "EDQUOT", "EIO", "EACCES"];

test.each(errnos)("%s at any operation of a save is one sentence and keeps the last good one", async (errno) => {
  let failures = 0;
  await failEverywhere(earlier, errno, async (folder, error) => {
    const names = await readdir(folder);
    if (error === null) {
      expect(names).toContain("step-00000003");
      return;
    }
    failures++;
    expect(error.name).toBe("CheckpointError");
    expect(error.message).toMatch(/^checkpoint of step 3 was not written: cannot (read|write) /);
    expect(error.message).toMatch(/; .*step-0000000[23] is the newest complete one$/);
    expect(error.message).not.toContain("\n");
    expect(names.filter((name) => name.startsWith("."))).toEqual([]);
    const { step } = await resumed(folder);
    expect([2, 3]).toContain(step);
  });
  expect(failures).toBeGreaterThan(20);
});

test("an error of the model's writer keeps its sentence, and without an earlier checkpoint none is named", async () => {
  await inFolder(async (folder) => {
    const trainer = toyTrainer(device);
    const write = storeIn(folder).save(trainer, { ...base, step: 1 }, async () => {
      throw new TypeError("a mistake");
    });
    await expect(write).rejects.toThrow(new TypeError("a mistake"));
    const full = storeIn(folder).save(trainer, { ...base, step: 1 }, async () => {
      throw Object.assign(new Error("no"), { code: "ENOSPC" });
    });
    const sentence = /not written: cannot write .*: the disk is full; .*; there is no earlier checkpoint$/;
    await expect(full).rejects.toThrow(sentence);
    expect(await readdir(folder)).toEqual([]);
  });
});

const files = [
  "config.json", "model.safetensors", "trainer/optimizer.safetensors", "trainer/state.json", "manifest.json",
];

test("a flipped bit, a missing byte or file is found, the file named, the previous checkpoint used", async () => {
  await inFolder(async (root) => {
    await save(storeIn(join(root, "good")), 1);
    await save(storeIn(join(root, "good")), 2);
    let copies = 0;
    await fc.assert(fc.asyncProperty(
      fc.constantFrom(...files), fc.constantFrom("flip", "cut", "remove"), fc.nat(), async (file, kind, where) => {
        const folder = join(root, `copy ${copies++}`);
        await cp(join(root, "good"), folder, { recursive: true });
        const path = join(folder, "step-00000002", file);
        const { length } = await readFile(path);
        if (kind === "flip") await flipBit(path, where % (length * 8));
        if (kind === "cut") await truncate(path, where % length);
        if (kind === "remove") await rm(path);
        const { step, damaged } = await resumed(folder);
        // Bits of the manifest that no one reads, as spaces, may change.
        if (file === "manifest.json" && kind !== "remove" && step === 2) return;
        expect(step).toBe(1);
        expect(damaged).toHaveLength(1);
        expect(damaged[0]).toContain(join(folder, "step-00000002"));
        if (file !== "manifest.json") expect(damaged[0]).toContain(`is damaged: ${file}: `);
        await rm(folder, { recursive: true });
      },
    ), { numRuns: 60 });
  });
});

test("swapped files are found, and with no good checkpoint left nothing is trained anew in silence", async () => {
  await inFolder(async (folder) => {
    await save(storeIn(folder), 1);
    const at = join(folder, "step-00000001");
    await rename(join(at, "config.json"), join(at, "aside"));
    await rename(join(at, "model.safetensors"), join(at, "config.json"));
    await rename(join(at, "aside"), join(at, "model.safetensors"));
    const sentence = /^no checkpoint can be used: .*config.json: expected .*start again in another folder$/;
    await expect(resumed(folder)).rejects.toThrow(sentence);
  });
});

test("a checkpoint under another step's name, with paths that lead out, or without sense is damaged", async () => {
  await inFolder(async (folder) => {
    await save(storeIn(folder), 1);
    await cp(join(folder, "step-00000001"), join(folder, "step-00000002"), { recursive: true });
    expect((await resumed(folder)).damaged[0]).toContain("expected step 2, it says 1");
    const entry = { bytes: 1, sha256: "00" };
    const lies = [
      "", "null", "[]", "{}", "{\"format\":\"danu-checkpoint\",\"version\":2,\"step\":2,\"files\":{}}",
      ...["../x", "/etc/passwd", "a//b", "a/../../b", "..\\x"].map((path) => (
        JSON.stringify({ format: "danu-checkpoint", version: 1, step: 2, files: { [path]: entry } })
      )),
      JSON.stringify({ format: "danu-checkpoint", version: 1, step: 2, files: { a: null } }),
    ];
    for (const lie of lies) {
      await writeFile(join(folder, "step-00000002", "manifest.json"), lie);
      const { step, damaged } = await resumed(folder);
      expect(step).toBe(1);
      expect(damaged[0]).toMatch(/manifest.json: it is not (JSON|a manifest of version 1)$/);
    }
  });
});

test("a checkpoint of another model is refused before the trainer is touched", async () => {
  await inFolder(async (folder) => {
    await save(storeIn(folder), 1);
    const other = toyTrainer(device, "f32", 3);
    const before = await fingerprint(other);
    await expect(storeIn(folder).restoreNewest(other)).rejects.toThrow(
      "does not fit the model: expected master.weight to be F32 [3, 3], it is F32 [3, 2]; resume with the recipe",
    );
    expect(await fingerprint(other)).toBe(before);
  });
});

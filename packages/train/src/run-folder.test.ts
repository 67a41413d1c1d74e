import { mkdir, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { hostname } from "node:os";
import { join } from "node:path";

import { expect, test } from "vitest";

import { inFolder } from "../test/toy.ts";
import { createRunFolder, readRecipe, resumeRunFolder, runPaths } from "./run-folder.ts";
import { RunLock } from "./run-lock.ts";

const recipe = { preset: "nano", steps: 10, stages: [{ tokens: 5, sequenceLength: 8 }] };

test("a run folder is made in a new or empty place, and a run in it goes on only when asked to", async () => {
  await inFolder(async (root) => {
    const folder = join(root, "a", "run ü");
    const run = await createRunFolder(folder, recipe);
    expect((await readdir(folder)).sort()).toEqual(["recipe.json", "run.lock"]);
    await run[Symbol.asyncDispose]();
    expect(await readdir(folder)).toEqual(["recipe.json"]);
    expect(await readRecipe(folder)).toEqual(recipe);
    await expect(createRunFolder(folder, {})).rejects.toThrow(`${folder} holds a run already; go on with --resume`);
    expect(await readRecipe(folder)).toEqual(recipe);
    const again = await resumeRunFolder(folder);
    expect(again.recipe).toEqual(recipe);
    expect(again.paths.checkpoints).toBe(join(folder, "checkpoints"));
    await again[Symbol.asyncDispose]();
  });
});

test("a folder with other things in it is left alone, and one without a run cannot be resumed", async () => {
  await inFolder(async (root) => {
    await writeFile(join(root, "thesis.tex"), "precious");
    await expect(createRunFolder(root, recipe)).rejects.toThrow(
      `expected ${root} to be empty or a new folder, it holds thesis.tex; choose another folder`,
    );
    for (const folder of [root, join(root, "missing"), join(root, "thesis.tex")]) {
      await expect(resumeRunFolder(folder)).rejects.toThrow(`expected a run in ${folder}, it has no recipe.json`);
    }
    await expect(createRunFolder(join(root, "thesis.tex"), recipe)).rejects.toThrow(/cannot write .*thesis.tex/);
    expect(await readdir(root)).toEqual(["thesis.tex"]);
    await mkdir(join(root, "run"));
    await writeFile(runPaths(join(root, "run")).recipe, "{");
    await expect(resumeRunFolder(join(root, "run"))).rejects.toThrow("expected JSON; the file was changed");
  });
});

test("of two runs in one folder one is refused, and a killed start does not block the next", async () => {
  await inFolder(async (root) => {
    const folder = join(root, "run");
    const results = await Promise.allSettled([1, 2, 3, 4].map(() => createRunFolder(folder, recipe)));
    const won = results.filter((result) => result.status === "fulfilled");
    expect(won).toHaveLength(1);
    await expect(resumeRunFolder(folder)).rejects.toThrow(
      `another run writes here: ${runPaths(folder).lock} is held by process ${process.pid} on ${hostname()}; wait`,
    );
    await won[0]!.value[Symbol.asyncDispose]();
    await rm(folder, { recursive: true });
    await mkdir(folder);
    await writeFile(runPaths(folder).lock, JSON.stringify({ pid: 2 ** 22 + 1, host: hostname(), began: "x" }));
    await (await createRunFolder(folder, recipe))[Symbol.asyncDispose]();
  });
});

test("a lock is stale when its process is gone or its number belongs to a later one; any doubt keeps it", async () => {
  await inFolder(async (folder) => {
    const path = join(folder, "run.lock");
    const held = [
      { pid: process.pid, host: hostname() }, { pid: 2 ** 22 + 1, host: "elsewhere" }, { pid: -1, host: hostname() },
      {}, null, "x",
    ];
    for (const holder of held) {
      await writeFile(path, JSON.stringify(holder));
      await expect(RunLock.acquire(path)).rejects.toThrow("another run writes here");
    }
    await writeFile(path, "");
    await expect(RunLock.acquire(path)).rejects.toThrow("held by a process unknown");
    const stale: object[] = [{ pid: 2 ** 22 + 1, host: hostname() }];
    if (process.platform === "linux") stale.push({ pid: process.pid, host: hostname(), began: "an earlier boot" });
    for (const holder of stale) {
      await writeFile(path, JSON.stringify(holder));
      const locks = await Promise.allSettled([1, 2, 3].map(() => RunLock.acquire(path)));
      const won = locks.filter((lock) => lock.status === "fulfilled");
      expect(won).toHaveLength(1);
      expect(JSON.parse(await readFile(path, "utf8"))).toMatchObject({ pid: process.pid });
      await won[0]!.value[Symbol.asyncDispose]();
      expect(await readdir(folder)).toEqual([]);
    }
  });
});

test("a lock that was deleted and taken by another is not given back", async () => {
  await inFolder(async (folder) => {
    const path = join(folder, "run.lock");
    const first = await RunLock.acquire(path);
    await rm(path);
    const second = await RunLock.acquire(path);
    await first[Symbol.asyncDispose]();
    expect(await readdir(folder)).toEqual(["run.lock"]);
    await second[Symbol.asyncDispose]();
  });
});

import { mkdir } from "node:fs/promises";
import { join } from "node:path";

import { RunFileError, RunFolderError } from "./errors.ts";
import { attempt, namesIn, readText, replaceFile } from "./files.ts";
import { RunLock } from "./run-lock.ts";

/** Paths inside a run folder. */
export interface RunPaths {
  readonly folder: string;
  /** The recipe with every default filled in, as JSON. */
  readonly recipe: string;
  readonly metrics: string;
  readonly report: string;
  /** Folder of the checkpoints. */
  readonly checkpoints: string;
  readonly lock: string;
}

/** A run folder that this process alone may write until it is disposed of. */
export interface RunFolder extends AsyncDisposable {
  readonly paths: RunPaths;
  /** The resolved recipe as it stands in the folder. */
  readonly recipe: unknown;
}

const maxRecipeBytes = 2 ** 24;

/** Where everything lies in a run folder. */
export function runPaths(folder: string): RunPaths {
  return {
    folder,
    recipe: join(folder, "recipe.json"),
    metrics: join(folder, "metrics.jsonl"),
    report: join(folder, "report.html"),
    checkpoints: join(folder, "checkpoints"),
    lock: join(folder, "run.lock"),
  };
}

/** Makes a run folder, in a place that is empty or does not exist, and writes the recipe into it.
 *  @param recipe any value that JSON can hold
 *  @throws RunFolderError when the place holds a run or anything else  @throws RunFileError */
export async function createRunFolder(folder: string, recipe: unknown): Promise<RunFolder> {
  const paths = runPaths(folder);
  await attempt("write", folder, () => mkdir(folder, { recursive: true }));
  await refuseTaken(folder);
  const lock = await RunLock.acquire(paths.lock);
  try {
    // Another process may have made a run here before the lock was ours.
    await refuseTaken(folder);
    await replaceFile(paths.recipe, `${JSON.stringify(recipe, null, 2)}\n`);
    return { paths, recipe, [Symbol.asyncDispose]: () => lock[Symbol.asyncDispose]() };
  } catch (error) {
    await lock[Symbol.asyncDispose]();
    throw error;
  }
}

/** Opens the folder of a run to go on with it.
 *  @throws RunFolderError when it holds no run, or another process writes it  @throws RunFileError */
export async function resumeRunFolder(folder: string): Promise<RunFolder> {
  const paths = runPaths(folder);
  await readRecipe(folder);
  const lock = await RunLock.acquire(paths.lock);
  return { paths, recipe: await readRecipe(folder), [Symbol.asyncDispose]: () => lock[Symbol.asyncDispose]() };
}

/** The resolved recipe of a run. @throws RunFolderError when the folder holds no run  @throws RunFileError */
export async function readRecipe(folder: string): Promise<unknown> {
  const { recipe } = runPaths(folder);
  try {
    return JSON.parse(await readText(recipe, maxRecipeBytes)) as unknown;
  } catch (error) {
    if (error instanceof SyntaxError) {
      throw new RunFolderError(`${recipe}: expected JSON; the file was changed`, { reason: "recipe", folder });
    }
    if (error instanceof RunFileError && ["ENOENT", "ENOTDIR"].includes(String(error.data["errno"]))) {
      const message = `expected a run in ${folder}, it has no recipe.json; start one without --resume or check the path`;
      throw new RunFolderError(message, { reason: "no-run", folder });
    }
    throw error;
  }
}

async function refuseTaken(folder: string): Promise<void> {
  const names = (await namesIn(folder)).filter((name) => !/^run\.lock|^\.recipe\.json\..*\.tmp$/.test(name));
  if (names.length === 0) return;
  if (names.includes("recipe.json")) {
    throw new RunFolderError(`${folder} holds a run already; go on with --resume, or choose another folder`, {
      reason: "run-exists", folder,
    });
  }
  const some = names.slice(0, 3).join(", ");
  throw new RunFolderError(`expected ${folder} to be empty or a new folder, it holds ${some}; choose another folder`, {
    reason: "not-a-run", folder,
  });
}

import { existsSync } from "node:fs";
import { rm, rmdir } from "node:fs/promises";

import { createRunFolder, resumeRunFolder, type RunPaths } from "@danu/train";

/** A run folder to make or to go on in. */
export interface RunPlace {
  readonly out: string;
  readonly resume: boolean;
  /** The resolved recipe. */
  readonly recipe: unknown;
  /** Paths that `setup` may make in the folder. */
  readonly made: readonly string[];
}

/** Works in a run folder that no other process writes meanwhile. A new run whose setup fails leaves nothing behind.
 *  @throws RunFolderError, RunFileError, and what `setup` and `work` throw */
export async function inRunFolder<S extends Disposable, R>(
  { out, resume, recipe, made }: RunPlace,
  setup: (paths: RunPaths) => Promise<S>,
  work: (paths: RunPaths, state: S) => Promise<R>,
): Promise<R> {
  const existed = existsSync(out);
  const folder = await (resume ? resumeRunFolder(out) : createRunFolder(out, recipe));
  let failed = false;
  try {
    using state = await setup(folder.paths).catch(async (error: unknown) => {
      failed = !resume;
      throw error;
    });
    return await work(folder.paths, state);
  } finally {
    if (failed) for (const path of [folder.paths.recipe, ...made]) await rm(path, { recursive: true, force: true });
    await folder[Symbol.asyncDispose]();
    // Only an empty folder goes, so that nothing else is lost.
    if (failed && !existed) await rmdir(out).catch(() => undefined);
  }
}

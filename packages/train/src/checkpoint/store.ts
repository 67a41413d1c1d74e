import { join } from "node:path";

import { DanuError } from "@danu/tensor";

import { CheckpointError } from "../errors.ts";
import { attempt, errnoOf, namesIn, nodeFileSystem, syncFolder, type FileSystem } from "../files.ts";
import { verifyManifest, writeManifest } from "./manifest.ts";
import type { RunState } from "./run-state.ts";
import { restoreTrainer, saveTrainer, type TensorFiles, type TrainerParts } from "./trainer-files.ts";

/** A complete checkpoint. */
export interface Checkpoint {
  readonly step: number;
  readonly folder: string;
}

/** A checkpoint that was put into a trainer. */
export interface Restored {
  readonly checkpoint: Checkpoint;
  readonly state: RunState;
  /** Newer checkpoints that were passed over, each with the file that is wrong. */
  readonly damaged: readonly CheckpointError[];
}

/** Settings of a `CheckpointStore`. */
export interface CheckpointStoreOptions {
  /** `checkpoints/` of a run folder. */
  readonly folder: string;
  readonly tensorFiles: TensorFiles;
  /** How many to keep, at least 1. */
  readonly keepLast?: number;
  readonly fileSystem?: FileSystem;
}

/** The checkpoints of a run: `step-00000100/` and so on, each a model folder with `trainer/` and a manifest.
 *
 *  One is written into a hidden folder, synced and renamed, so that a visible name stands for a complete checkpoint.
 *  The store expects that no other process writes its folder; `RunFolder` sees to that with a lock. */
export class CheckpointStore {
  readonly folder: string;
  readonly #tensorFiles: TensorFiles;
  readonly #keepLast: number;
  readonly #fs: FileSystem;

  constructor({ folder, tensorFiles, keepLast = 2, fileSystem = nodeFileSystem }: CheckpointStoreOptions) {
    if (!Number.isSafeInteger(keepLast) || keepLast < 1) {
      throw new CheckpointError(`checkpoints: expected to keep at least 1, got ${keepLast}`, { keepLast });
    }
    this.folder = folder;
    this.#tensorFiles = tensorFiles;
    this.#keepLast = keepLast;
    this.#fs = fileSystem;
  }

  /** Writes a checkpoint of a trainer, then removes those beyond `keepLast` that are older.
   *  @param writeModel writes a model folder into the folder it is given
   *  @throws CheckpointError with the reason and the newest complete checkpoint; nothing half-written is left */
  async save(
    trainer: TrainerParts, state: RunState, writeModel: (folder: string) => Promise<void>,
  ): Promise<Checkpoint> {
    const name = folderName(state.step);
    const temporary = this.#hidden(name, "writing");
    try {
      await attempt("write", this.folder, async () => {
        await this.#fs.mkdir(this.folder, { recursive: true });
        await this.#remove(temporary);
        await this.#fs.mkdir(temporary);
        await writeModel(temporary);
        await saveTrainer(temporary, trainer, state, this.#tensorFiles, this.#fs);
        await writeManifest(temporary, state.step, this.#fs);
        await this.#place(temporary, name);
      });
    } catch (error) {
      throw await this.#notWritten(state.step, error);
    }
    await this.#prune(state.step);
    return { step: state.step, folder: join(this.folder, name) };
  }

  /** Puts the newest complete checkpoint into a trainer, after a check of every file against the manifest.
   *  @returns null when there is no checkpoint
   *  @throws CheckpointError when all are damaged, or the checkpoint is of another model */
  async restoreNewest(trainer: TrainerParts): Promise<Restored | null> {
    await this.clean();
    const damaged: CheckpointError[] = [];
    for (const checkpoint of (await listCheckpoints(this.folder, this.#fs)).reverse()) {
      const problem = await this.#problemOf(checkpoint);
      if (problem === null) {
        const state = await restoreTrainer(checkpoint.folder, trainer, this.#tensorFiles, this.#fs);
        return { checkpoint, state, damaged };
      }
      damaged.push(problem);
    }
    if (damaged.length === 0) return null;
    const messages = damaged.map((error) => error.message).join("; ");
    throw new CheckpointError(`no checkpoint can be used: ${messages}; restore one or start again in another folder`, {
      reason: "all-damaged",
    });
  }

  /** Clears up after a process that was killed: what it was writing goes, what it was replacing comes back. */
  async clean(): Promise<void> {
    const names = await namesIn(this.folder, this.#fs);
    await attempt("write", this.folder, async () => {
      for (const name of names) {
        const [, visible, kind] = /^\.(step-\d{8,})\.(writing|replaced|removing)$/.exec(name) ?? [];
        if (visible === undefined) continue;
        const path = join(this.folder, name);
        if (kind === "replaced" && !names.includes(visible)) await this.#fs.rename(path, join(this.folder, visible));
        else await this.#remove(path);
      }
    });
  }

  async #problemOf({ folder, step }: Checkpoint): Promise<CheckpointError | null> {
    try {
      await verifyManifest(folder, step, this.#fs);
      return null;
    } catch (error) {
      if (error instanceof CheckpointError) return error;
      throw error;
    }
  }

  /** Gives a finished folder its name; one that has the name already, because it was damaged, steps aside first. */
  async #place(temporary: string, name: string): Promise<void> {
    const [target, aside] = [join(this.folder, name), this.#hidden(name, "replaced")];
    const taken = (await namesIn(this.folder, this.#fs)).includes(name);
    if (taken) {
      await this.#remove(aside);
      await this.#fs.rename(target, aside);
    }
    await this.#fs.rename(temporary, target);
    await syncFolder(this.folder, this.#fs);
    if (taken) await this.#remove(aside);
  }

  async #prune(step: number): Promise<void> {
    try {
      const older = (await listCheckpoints(this.folder, this.#fs)).filter((checkpoint) => checkpoint.step < step);
      for (const checkpoint of older.slice(0, Math.max(0, older.length - (this.#keepLast - 1)))) {
        // Hidden first: a kill in the middle of the removal leaves nothing that looks like a checkpoint.
        const removing = this.#hidden(folderName(checkpoint.step), "removing");
        await this.#fs.rename(checkpoint.folder, removing);
        await this.#remove(removing);
      }
    } catch (error) {
      // The new checkpoint stands; one too many is no reason to stop a run.
      if (errnoOf(error) === null && !(error instanceof DanuError)) throw error;
    }
  }

  async #notWritten(step: number, error: unknown): Promise<unknown> {
    // Clearing up is a courtesy here: the next start does it again.
    await this.clean().catch(() => undefined);
    if (!(error instanceof DanuError)) return error;
    const newest = (await listCheckpoints(this.folder, this.#fs).catch(() => [])).at(-1);
    const rest = newest === undefined
      ? "there is no earlier checkpoint"
      : `${newest.folder} is the newest complete one`;
    const failure = new CheckpointError(`checkpoint of step ${step} was not written: ${error.message}; ${rest}`, {
      reason: "not-written", step, newest: newest?.folder ?? null, ...error.data,
    });
    failure.cause = error;
    return failure;
  }

  #hidden(name: string, kind: "writing" | "replaced" | "removing"): string {
    return join(this.folder, `.${name}.${kind}`);
  }

  async #remove(path: string): Promise<void> {
    await this.#fs.rm(path, { recursive: true, force: true });
  }
}

/** The checkpoints in `checkpoints/` of a run folder, oldest first; their files are not read. */
export async function listCheckpoints(folder: string, fs: FileSystem = nodeFileSystem): Promise<Checkpoint[]> {
  return (await namesIn(folder, fs))
    .filter((name) => /^step-\d{8,15}$/.test(name))
    .map((name) => ({ step: Number(name.slice("step-".length)), folder: join(folder, name) }))
    .sort((a, b) => a.step - b.step);
}

function folderName(step: number): string {
  return `step-${String(step).padStart(8, "0")}`;
}

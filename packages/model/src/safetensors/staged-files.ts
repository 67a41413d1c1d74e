import { randomBytes } from "node:crypto";
import { open, rename, rm, statfs } from "node:fs/promises";
import type { FileHandle } from "node:fs/promises";
import { dirname, join } from "node:path";
import { FileError, fileError } from "./errors.ts";

/** One write call takes at most 2³¹ − 1 bytes. */
const chunkBytes = 2 ** 30;

/** Takes the bytes of a file in order. */
interface ByteSink {
  write(bytes: Uint8Array): Promise<void>;
}

interface Staged {
  readonly path: string;
  readonly temporary: string;
}

/**
 * Files that take their places together: each is written beside its final name and synced, and only when all are
 * complete does `commit` rename them. Until then, and after any error, the old files stand untouched; disposal removes
 * what was not committed. A crash can leave a `.danu-*.tmp`, never a torn file under a final name; a crash within
 * `commit`, which only renames, can leave some files new and some old.
 */
export class StagedFiles implements AsyncDisposable {
  private staged: Staged[] = [];

  /**
   * Writes the future contents of `path` to a temporary file in the same folder and syncs it to the disk.
   * @throws FileError if the folder cannot be written to or the disk is full; the temporary file is then gone
   */
  async add(path: string, fill: (sink: ByteSink) => Promise<void>): Promise<void> {
    const temporary = join(dirname(path), `.danu-${process.pid}-${randomBytes(8).toString("hex")}.tmp`);
    const handle = await attempt(path, () => open(temporary, "wx"));
    try {
      try {
        await fill({ write: (bytes) => writeExactly(handle, path, bytes) });
        await attempt(path, () => handle.sync());
      } finally {
        // Closing can report a delayed write error, as network file systems do.
        await attempt(path, () => handle.close());
      }
    } catch (error) {
      await remove(temporary);
      throw error;
    }
    this.staged.push({ path, temporary });
  }

  /**
   * Puts every staged file in place, in the order they were added, and syncs the folders.
   * @throws FileError if a rename fails; files before it are then in place, it and those after keep their old contents
   */
  async commit(): Promise<void> {
    const folders = new Set(this.staged.map(({ path }) => dirname(path)));
    for (let next = this.staged[0]; next; next = this.staged[0]) {
      const { path, temporary } = next;
      await attempt(path, () => rename(temporary, path));
      this.staged.shift();
    }
    for (const folder of folders) await syncFolder(folder);
  }

  /** Removes the temporary files that were not committed. */
  async [Symbol.asyncDispose](): Promise<void> {
    const left = this.staged;
    this.staged = [];
    for (const { temporary } of left) await remove(temporary);
  }
}

/**
 * Runs `stage` and puts the files it added in place if it succeeds; after an error nothing is changed.
 * @throws FileError, and whatever `stage` throws
 */
export async function writeTogether(stage: (files: StagedFiles) => Promise<void>): Promise<void> {
  const files = new StagedFiles();
  try {
    await stage(files);
    await files.commit();
  } finally {
    await files[Symbol.asyncDispose]();
  }
}

/**
 * Checks that the disk under `folder` has room for `bytes` more, before anything is written.
 * @throws FileError if it has not; where the system cannot say, the writes themselves will
 */
export async function checkFreeSpace(folder: string, bytes: number): Promise<void> {
  const stat = await statfs(folder).catch(() => undefined);
  // Some network file systems report no blocks at all.
  if (!stat || stat.blocks === 0) return;
  const free = stat.bavail * stat.bsize;
  if (bytes <= free) return;
  const problem = `expected ${bytes} bytes of free disk space, got ${free}; free some space or choose another folder`;
  const data = { action: "write", path: folder, errno: "ENOSPC", bytes, free };
  throw new FileError(`cannot write ${folder}: ${problem}`, data);
}

async function writeExactly(handle: FileHandle, path: string, bytes: Uint8Array): Promise<void> {
  let written = 0;
  while (written < bytes.byteLength) {
    const length = Math.min(chunkBytes, bytes.byteLength - written);
    const { bytesWritten } = await attempt(path, () => handle.write(bytes, written, length));
    written += bytesWritten;
  }
}

/** Makes renames in a folder durable. */
async function syncFolder(folder: string): Promise<void> {
  // Windows cannot open a folder, and keeps its own journal of names.
  if (process.platform === "win32") return;
  const handle = await attempt(folder, () => open(folder, "r"));
  try {
    await attempt(folder, () => handle.sync());
  } finally {
    await attempt(folder, () => handle.close());
  }
}

/** Removes a temporary file; failing to must not hide the error that made it useless. */
async function remove(temporary: string): Promise<void> {
  await rm(temporary, { force: true }).catch(() => undefined);
}

async function attempt<T>(path: string, step: () => Promise<T>): Promise<T> {
  try {
    return await step();
  } catch (error) {
    throw fileError("write", path, error);
  }
}

import { randomBytes } from "node:crypto";
import * as node from "node:fs/promises";
import { basename, dirname, join } from "node:path";

import { DanuError } from "@danu/tensor";

import { RunFileError } from "./errors.ts";

/** The file operations that runs and checkpoints are made of; tests put one that fails in its place. */
export type FileSystem = Pick<typeof node, "mkdir" | "open" | "readdir" | "rename" | "rm">;

/** The machine's own file system. */
export const nodeFileSystem: FileSystem = node;

const reasons: Readonly<Record<string, string>> = {
  ENOENT: "there is no such file or folder; check the path",
  ENOTDIR: "a part of the path is a file, not a folder; check the path",
  EACCES: "permission denied; check the owner and mode of the folder",
  EPERM: "permission denied; check the owner and mode of the folder",
  EROFS: "the file system is read-only; choose another folder",
  ENOSPC: "the disk is full; free some space or choose another folder",
  EDQUOT: "the disk quota is used up; free some space or choose another folder",
  EIO: "the device reported an input/output error; check the disk",
};

/** The system's code of an error of the file system, or null for any other error. */
export function errnoOf(error: unknown): string | null {
  const code = (error as { readonly code?: unknown } | null)?.code;
  return !(error instanceof DanuError) && typeof code === "string" && /^E[A-Z0-9]+$/.test(code) ? code : null;
}

/** Turns what the file system throws into one sentence; other errors pass unchanged.
 *  @throws RunFileError */
export async function attempt<T>(action: "read" | "write", path: string, operation: () => Promise<T>): Promise<T> {
  try {
    return await operation();
  } catch (error) {
    const errno = errnoOf(error);
    if (errno === null) throw error;
    const reason = reasons[errno] ?? `the system said ${errno}`;
    throw new RunFileError(`cannot ${action} ${path}: ${reason}`, { action, path, errno });
  }
}

/** Reads a text file of bounded size.
 *  @throws RunFileError when it is missing, unreadable or larger than `maxBytes` */
export async function readText(path: string, maxBytes: number, fs: FileSystem = nodeFileSystem): Promise<string> {
  return attempt("read", path, async () => {
    const handle = await fs.open(path, "r");
    try {
      const { size } = await handle.stat();
      if (size > maxBytes) {
        throw new RunFileError(`cannot read ${path}: expected at most ${maxBytes} bytes, it has ${size}`, { path });
      }
      return await handle.readFile("utf8");
    } finally {
      await handle.close();
    }
  });
}

/** Writes a file and syncs it to the disk. @throws RunFileError */
export async function writeSynced(path: string, text: string, fs: FileSystem = nodeFileSystem): Promise<void> {
  await attempt("write", path, async () => {
    const handle = await fs.open(path, "wx");
    try {
      await handle.writeFile(text);
      await handle.sync();
    } finally {
      await handle.close();
    }
  });
}

/** Replaces a file as a whole: under its name stands the old text or the new, whatever happens. @throws RunFileError */
export async function replaceFile(path: string, text: string, fs: FileSystem = nodeFileSystem): Promise<void> {
  const temporary = join(dirname(path), `.${basename(path)}.${randomBytes(6).toString("hex")}.tmp`);
  try {
    await writeSynced(temporary, text, fs);
    await attempt("write", path, () => fs.rename(temporary, path));
  } catch (error) {
    await fs.rm(temporary, { force: true }).catch(() => undefined);
    throw error;
  }
  await syncFolder(dirname(path), fs);
}

/** Makes the names in a folder durable. @throws RunFileError */
export async function syncFolder(path: string, fs: FileSystem = nodeFileSystem): Promise<void> {
  // Windows cannot open a folder, and keeps its own journal of names.
  if (process.platform === "win32") return;
  await attempt("write", path, async () => {
    const handle = await fs.open(path, "r");
    try {
      await handle.sync();
    } finally {
      await handle.close();
    }
  });
}

/** Names in a folder; none where it does not exist. @throws RunFileError */
export async function namesIn(path: string, fs: FileSystem = nodeFileSystem): Promise<string[]> {
  return attempt("read", path, async () => {
    try {
      return await fs.readdir(path);
    } catch (error) {
      if (errnoOf(error) === "ENOENT") return [];
      throw error;
    }
  });
}

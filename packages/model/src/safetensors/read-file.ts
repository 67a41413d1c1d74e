import { constants } from "node:fs";
import { open } from "node:fs/promises";
import type { FileHandle } from "node:fs/promises";
import { FileError, fileError } from "./errors.ts";

/** One read call takes at most 2³¹ − 1 bytes; a round number below keeps every chunk aligned. */
const chunkBytes = 2 ** 30;

/** A regular file open for reading, with its size in bytes when it was opened. */
interface OpenFile {
  readonly handle: FileHandle;
  readonly bytes: number;
}

/**
 * Opens a regular file for reading; pipes and devices, on which a read may wait or never end, are refused.
 * @throws FileError
 */
export async function openRegularFile(path: string): Promise<OpenFile> {
  let handle: FileHandle | undefined;
  try {
    // Without O_NONBLOCK, opening a named pipe waits for a writer. Windows has neither.
    handle = await open(path, constants.O_RDONLY | (constants.O_NONBLOCK ?? 0));
    const stat = await handle.stat();
    if (!stat.isFile()) throw new FileError(`cannot read ${path}: it is not a regular file`, { action: "read", path });
    return { handle, bytes: stat.size };
  } catch (error) {
    await handle?.close();
    throw fileError("read", path, error);
  }
}

/**
 * Fills `into` from `position` on, in chunks that one system call takes.
 * @throws FileError if the file ends before `into` is full, or a read fails
 */
export async function readExactly(handle: FileHandle, path: string, position: number, into: Uint8Array): Promise<void> {
  let filled = 0;
  while (filled < into.byteLength) {
    const length = Math.min(chunkBytes, into.byteLength - filled);
    let bytesRead: number;
    try {
      ({ bytesRead } = await handle.read(into, filled, length, position + filled));
    } catch (error) {
      throw fileError("read", path, error);
    }
    if (bytesRead === 0) {
      const message = `cannot read ${path}: it ended at byte ${position + filled}, shorter than when it was opened`;
      throw new FileError(message, { action: "read", path, position: position + filled });
    }
    filled += bytesRead;
  }
}

/**
 * Reads a whole file of at most `limit` bytes.
 * @throws FileError if it cannot be read or is larger
 */
export async function readWholeFile(path: string, limit: number): Promise<Uint8Array> {
  const { handle, bytes } = await openRegularFile(path);
  try {
    if (bytes > limit) {
      const message = `cannot read ${path}: expected at most ${limit} bytes, got ${bytes}`;
      throw new FileError(message, { action: "read", path, bytes });
    }
    const contents = new Uint8Array(bytes);
    await readExactly(handle, path, 0, contents);
    return contents;
  } finally {
    await handle.close();
  }
}

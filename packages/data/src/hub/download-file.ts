import { createHash, type Hash } from "node:crypto";
import { createReadStream } from "node:fs";
import { mkdir, open, readdir, rename, rm, stat } from "node:fs/promises";
import { dirname, join } from "node:path";
import { asDataError, DataError } from "../data-error.ts";
import type { HubFile } from "./hub-cache.ts";
import type { HubClient } from "./hub-client.ts";

/** What is downloaded, from where, and to where. */
export interface Download {
  readonly client: HubClient;
  readonly commit: string;
  readonly file: HubFile;
  /** Where the file goes once it is whole. */
  readonly target: string;
  /** Where it is meanwhile. */
  readonly partialFolder: string;
  readonly onBytes: (bytes: number) => void;
}

const attempts = 3;

/** Downloads a file and puts it in place once its size and hash are right, going on from what an earlier attempt left.
 *  @throws DataError `hub-unreachable`, `hub-denied`, `not-found`, `hash-mismatch`, `write-failed` */
export async function downloadFile(download: Download): Promise<void> {
  const { file, target, partialFolder } = download;
  const partial = claimed(partialFolder, file.hash);
  try {
    await mkdir(dirname(target), { recursive: true });
    await mkdir(partialFolder, { recursive: true });
    await adopt(partial, file.hash);
    for (let attempt = 1; ; attempt++) {
      try {
        await fill(partial, download);
        break;
      } catch (error) {
        const code = error instanceof DataError ? error.code : undefined;
        if (attempt === attempts || (code !== "hub-unreachable" && code !== "hash-mismatch")) throw error;
      }
    }
    await rename(partial, target);
  } catch (error) {
    throw asDataError(error, "write-failed", "the download cannot be written", target);
  } finally {
    active.delete(partial);
  }
}

/** Files that this process writes. Their names hold the hash and the process, so that no two writers share one. */
const active = new Set<string>();

function claimed(folder: string, hash: string): string {
  for (let i = 0; ; i++) {
    const path = join(folder, `${hash}.${process.pid}.${i}`);
    if (active.has(path)) continue;
    active.add(path);
    return path;
  }
}

/** Takes over what a process that is gone has left of the same file. */
async function adopt(partial: string, hash: string): Promise<void> {
  const folder = dirname(partial);
  for (const name of await readdir(folder)) {
    const [itsHash, pid] = name.split(".");
    if (itsHash !== hash || isRunning(Number(pid))) continue;
    // Another process may be faster.
    await rename(join(folder, name), partial).catch(() => {});
    return;
  }
}

function isRunning(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === "EPERM";
  }
}

async function fill(partial: string, { client, commit, file, onBytes }: Download): Promise<void> {
  const hash = hashFor(file);
  let length = await hashBytes(partial, hash, file.size);
  const output = await open(partial, length === 0 ? "w" : "a");
  try {
    onBytes(length);
    if (length < file.size) {
      for await (const bytes of client.read(commit, file, length)) {
        length += bytes.length;
        if (length > file.size) break;
        await output.writeFile(bytes);
        hash.update(bytes);
        onBytes(length);
      }
    }
    await output.sync();
  } finally {
    await output.close();
  }
  if (length < file.size) {
    const message = `${file.path}: the hub sent ${length} of ${file.size} bytes; try again`;
    throw new DataError("hub-unreachable", message, { path: file.path, length });
  }
  if (length === file.size && hash.digest("hex") === file.hash) return;
  await rm(partial, { force: true });
  const message = `${file.path}: what the hub sent is not the file that it lists, its hash is another; try again`;
  throw new DataError("hash-mismatch", message, { path: file.path });
}

/** Hashes what there is of a file. @returns its length, 0 if it is longer than it should be */
async function hashBytes(path: string, hash: Hash, most: number): Promise<number> {
  const size = await stat(path)
    .then((info) => info.size)
    .catch(() => 0);
  if (size === 0 || size > most) return 0;
  for await (const bytes of createReadStream(path) as AsyncIterable<Buffer>) hash.update(bytes);
  return size;
}

/** SHA-256 has 64 digits; shorter ones are git's, over a header and the content. */
function hashFor({ hash, size }: HubFile): Hash {
  return hash.length === 64 ? createHash("sha256") : createHash("sha1").update(`blob ${size}\0`);
}

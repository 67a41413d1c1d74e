import { createHash } from "node:crypto";
import { join } from "node:path";

import { CheckpointError } from "../errors.ts";
import { errnoOf, readText, syncFolder, writeSynced, type FileSystem } from "../files.ts";

/** Size and hash of every file of a checkpoint. */
interface Manifest {
  readonly format: "danu-checkpoint";
  readonly version: 1;
  readonly step: number;
  /** By path inside the checkpoint, with `/`. */
  readonly files: Readonly<Record<string, { readonly bytes: number; readonly sha256: string }>>;
}

/** Name of the manifest inside a checkpoint. */
const manifestName = "manifest.json";

const maxManifestBytes = 2 ** 24;
const chunkBytes = 2 ** 22;

/** Syncs every file and folder of a checkpoint to the disk and writes their sizes and SHA-256 hashes beside them. */
export async function writeManifest(folder: string, step: number, fs: FileSystem): Promise<void> {
  const { files, folders } = await walk(folder, fs);
  const entries: [string, { bytes: number; sha256: string }][] = [];
  for (const path of files) entries.push([path, await digest(join(folder, path), "r+", fs)]);
  const manifest: Manifest = { format: "danu-checkpoint", version: 1, step, files: Object.fromEntries(entries) };
  await writeSynced(join(folder, manifestName), `${JSON.stringify(manifest, null, 2)}\n`, fs);
  for (const path of folders) await syncFolder(join(folder, path), fs);
}

/** Reads every file of a checkpoint and compares it with the manifest.
 *  @throws CheckpointError that names the first file which is missing, unreadable or not what was written */
export async function verifyManifest(folder: string, step: number, fs: FileSystem): Promise<void> {
  const manifest = await readManifest(folder, fs);
  if (manifest.step !== step) throw damaged(folder, manifestName, `expected step ${step}, it says ${manifest.step}`);
  for (const [path, expected] of Object.entries(manifest.files)) {
    const actual = await digest(join(folder, path), "r", fs).catch((error: unknown) => {
      const errno = errnoOf(error);
      if (errno === null) throw error;
      throw damaged(folder, path, errno === "ENOENT" ? "it is missing" : `it cannot be read, the system said ${errno}`);
    });
    if (actual.bytes !== expected.bytes) {
      throw damaged(folder, path, `expected ${expected.bytes} bytes, it has ${actual.bytes}`);
    }
    if (actual.sha256 !== expected.sha256) throw damaged(folder, path, "its SHA-256 is not the one in the manifest");
  }
}

async function readManifest(folder: string, fs: FileSystem): Promise<Manifest> {
  let manifest: unknown;
  try {
    manifest = JSON.parse(await readText(join(folder, manifestName), maxManifestBytes, fs));
  } catch (error) {
    throw damaged(folder, manifestName, error instanceof SyntaxError ? "it is not JSON" : (error as Error).message);
  }
  if (!isManifest(manifest)) throw damaged(folder, manifestName, "it is not a manifest of version 1");
  return manifest;
}

function isManifest(value: unknown): value is Manifest {
  const { format, version, step, files } = (value ?? {}) as Partial<Record<keyof Manifest, unknown>>;
  if (format !== "danu-checkpoint" || version !== 1 || typeof step !== "number") return false;
  if (typeof files !== "object" || files === null) return false;
  return Object.entries(files).every(([path, entry]: [string, Partial<Record<string, unknown>> | null]) => (
    path.split("/").every((part) => part !== "" && part !== "." && part !== ".." && !part.includes("\\"))
      && typeof entry?.["bytes"] === "number" && typeof entry["sha256"] === "string"
  ));
}

function damaged(folder: string, file: string, what: string): CheckpointError {
  return new CheckpointError(`checkpoint ${folder} is damaged: ${file}: ${what}`, { reason: "damaged", folder, file });
}

/** Files and folders under a folder, itself included as "", in a fixed order. */
async function walk(root: string, fs: FileSystem, under = ""): Promise<{ files: string[]; folders: string[] }> {
  const found = { files: [] as string[], folders: [under] };
  const entries = await fs.readdir(join(root, under), { withFileTypes: true });
  for (const entry of entries.sort((a, b) => (a.name < b.name ? -1 : 1))) {
    const path = under === "" ? entry.name : `${under}/${entry.name}`;
    if (!entry.isDirectory()) {
      found.files.push(path);
      continue;
    }
    const { files, folders } = await walk(root, fs, path);
    found.files.push(...files);
    found.folders.push(...folders);
  }
  return found;
}

/** Hashes a file; one opened for writing is synced to the disk as well. */
async function digest(path: string, flags: "r" | "r+", fs: FileSystem): Promise<{ bytes: number; sha256: string }> {
  const handle = await fs.open(path, flags);
  try {
    const hash = createHash("sha256");
    const buffer = Buffer.allocUnsafe(chunkBytes);
    let bytes = 0;
    for (;;) {
      const { bytesRead } = await handle.read(buffer, 0, chunkBytes, null);
      if (bytesRead === 0) break;
      hash.update(buffer.subarray(0, bytesRead));
      bytes += bytesRead;
    }
    if (flags === "r+") await handle.sync();
    return { bytes, sha256: hash.digest("hex") };
  } finally {
    await handle.close();
  }
}

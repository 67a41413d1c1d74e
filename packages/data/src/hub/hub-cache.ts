import { randomBytes } from "node:crypto";
import { existsSync } from "node:fs";
import { mkdir, open, readFile, rename, rm } from "node:fs/promises";
import { homedir } from "node:os";
import { dirname, join } from "node:path";
import { isPlainObject } from "../chat/json.ts";
import { asDataError } from "../data-error.ts";
import { isSafePath } from "./hub-path.ts";

/** A file of a repository. */
export interface HubFile {
  readonly path: string;
  /** In bytes. */
  readonly size: number;
  /** SHA-256 of the content, for large files; else SHA-1 of git's blob. Hexadecimal. */
  readonly hash: string;
}

/** Downloads of one data set: `revisions/NAME` holds the commit that a branch or tag last stood for, and
 *  `commits/HASH` what that commit has: `files.json`, the list, and `files/`, those that were downloaded, each put
 *  there whole. */
export class HubCache {
  readonly #folder: string;

  constructor(hubUrl: string, repository: string, folder: string = defaultFolder()) {
    this.#folder = join(folder, "hub", new URL(hubUrl).host.replace(":", "-"), repository.replace("/", "--"));
  }

  /** The commit that a revision last stood for. */
  async commitOf(revision: string): Promise<string | undefined> {
    if (isCommit(revision)) return revision;
    const text = await textOf(join(this.#folder, "revisions", encodeURIComponent(revision)));
    return text !== undefined && isCommit(text) ? text : undefined;
  }

  /** Remembers the commit of a revision. @throws DataError `write-failed` */
  async setCommit(revision: string, commit: string): Promise<void> {
    await writeWhole(join(this.#folder, "revisions", encodeURIComponent(revision)), commit);
  }

  /** Files that a commit has. */
  async filesOf(commit: string): Promise<HubFile[] | undefined> {
    const text = await textOf(this.#listPath(commit));
    return text === undefined ? undefined : parseFiles(text);
  }

  /** Remembers the files of a commit. @throws DataError `write-failed` */
  async setFiles(commit: string, files: readonly HubFile[]): Promise<void> {
    await writeWhole(this.#listPath(commit), JSON.stringify(files));
  }

  /** Where a file of a commit is, or is to be put. */
  pathOf(commit: string, file: HubFile): string {
    return join(this.#folder, "commits", commit, "files", ...file.path.split("/"));
  }

  /** Where files are put while they come. */
  get partialFolder(): string {
    return join(this.#folder, "partial");
  }

  #listPath(commit: string): string {
    return join(this.#folder, "commits", commit, "files.json");
  }
}

/** Whether a revision is a commit, which never changes. */
export function isCommit(revision: string): boolean {
  return /^[0-9a-f]{40}$/.test(revision);
}

function defaultFolder(): string {
  return process.env["DANU_CACHE"] || join(homedir(), ".cache", "danu");
}

async function textOf(path: string): Promise<string | undefined> {
  return existsSync(path) ? (await readFile(path, "utf8")).trim() : undefined;
}

function parseFiles(text: string): HubFile[] | undefined {
  try {
    const files: unknown = JSON.parse(text);
    return Array.isArray(files) && files.every(isFile) ? files : undefined;
  } catch {
    return undefined;
  }
}

/** Whether a value is a file that can be kept. */
export function isFile(value: unknown): value is HubFile {
  if (!isPlainObject(value)) return false;
  const { path, size, hash } = value;
  return typeof path === "string" && isSafePath(path) && Number.isSafeInteger(size) && isHash(hash);
}

function isHash(value: unknown): boolean {
  return typeof value === "string" && /^([0-9a-f]{40}|[0-9a-f]{64})$/.test(value);
}

async function writeWhole(path: string, text: string): Promise<void> {
  const partial = `${path}.partial-${randomBytes(4).toString("hex")}`;
  try {
    await mkdir(dirname(path), { recursive: true });
    const file = await open(partial, "wx");
    try {
      await file.writeFile(text);
      await file.sync();
    } finally {
      await file.close();
    }
    await rename(partial, path);
  } catch (error) {
    await rm(partial, { force: true });
    throw asDataError(error, "write-failed", "the cache cannot be written", path);
  }
}

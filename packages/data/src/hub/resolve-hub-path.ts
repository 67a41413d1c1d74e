import { existsSync } from "node:fs";
import { DataError } from "../data-error.ts";
import { downloadFile } from "./download-file.ts";
import { HubCache, type HubFile, isCommit } from "./hub-cache.ts";
import { type HubClient, openHub } from "./hub-client.ts";
import type { HubOptions } from "./hub-options.ts";
import { type HubPath, parseHubPath } from "./hub-path.ts";
import { selectFiles } from "./select-files.ts";

/** Local copies of files of the hub. */
export interface HubFiles {
  /** Paths in the cache, sorted by their names on the hub. */
  readonly files: readonly string[];
  /** The commit that they are of, 40 hexadecimal digits. */
  readonly commit: string;
}

/** Downloads in progress, so that two readers of a file in one process share them. */
const running = new Map<string, Promise<void>>();

/** Files of a data set on the Hugging Face hub, `hf:owner/name`, `hf:owner/name@revision`, either with `/path` to a
 *  file, a folder or a set of files (`/data/train`); downloaded where the cache does not have them. A branch or tag is
 *  looked up each time, and taken from the cache where the hub cannot be reached.
 *  @throws DataError `bad-option`, `not-found`, `hub-denied`, `hub-unreachable`, `hash-mismatch`, `write-failed` */
export async function resolveHubPath(text: string, options: HubOptions = {}): Promise<HubFiles> {
  const path = parseHubPath(text);
  const hubUrl = checkedUrl(options.hubUrl ?? (process.env["HF_ENDPOINT"] || "https://huggingface.co"));
  const cache = new HubCache(hubUrl, path.repository, options.cacheFolder);
  const token = options.token ?? process.env["HF_TOKEN"];
  const isOffline = options.offline ?? process.env["HF_HUB_OFFLINE"] === "1";
  const client = isOffline ? undefined : await openHub(hubUrl, path.repository, token === "" ? undefined : token);
  const { commit, files } = await snapshot(path, cache, client);
  const paths: string[] = [];
  for (const file of selectFiles(files, path)) {
    const target = cache.pathOf(commit, file);
    if (!existsSync(target)) {
      if (client === undefined) throw notCached(path, file.path);
      const onBytes = (bytes: number): void => options.onProgress?.({ file: file.path, bytes, of: file.size });
      await shared(target, () =>
        downloadFile({ client, commit, file, target, partialFolder: cache.partialFolder, onBytes }),
      );
    }
    paths.push(target);
  }
  return { files: paths, commit };
}

async function snapshot(
  path: HubPath,
  cache: HubCache,
  client: HubClient | undefined,
): Promise<{ commit: string; files: HubFile[] }> {
  const { revision } = path;
  const known = await cache.commitOf(revision);
  let commit = known;
  if (client !== undefined && !isCommit(revision)) {
    try {
      commit = await client.commitOf(revision);
      if (commit !== known) await cache.setCommit(revision, commit);
    } catch (error) {
      const isAway = error instanceof DataError && error.code === "hub-unreachable";
      if (!isAway || known === undefined) throw error;
    }
  }
  if (commit === undefined) throw notCached(path, `revision ${revision}`);
  const cached = await cache.filesOf(commit);
  if (cached !== undefined) return { commit, files: cached };
  if (client === undefined) throw notCached(path, "the list of files");
  const files = await client.filesOf(commit);
  await cache.setFiles(commit, files);
  return { commit, files };
}

function shared(target: string, start: () => Promise<void>): Promise<void> {
  const promise = running.get(target) ?? start().finally(() => running.delete(target));
  running.set(target, promise);
  return promise;
}

function notCached({ repository }: HubPath, what: string): DataError {
  const message = `hf:${repository}: ${what} is not in the cache; read it once with the network (HF_HUB_OFFLINE=0)`;
  return new DataError("not-found", message, { repository });
}

function checkedUrl(text: string): string {
  if (URL.canParse(text) && /^https?:$/.test(new URL(text).protocol)) return text.replace(/\/+$/, "");
  throw new DataError("bad-option", `hubUrl: expected an address that begins with https://, got ${text}`);
}

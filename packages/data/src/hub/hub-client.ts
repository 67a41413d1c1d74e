import { DataError } from "../data-error.ts";
import { isCommit, isFile, type HubFile } from "./hub-cache.ts";

/** Asks the hub about one data set. */
export interface HubClient {
  /** The commit that a revision stands for. @throws DataError `not-found`, `hub-denied`, `hub-unreachable` */
  commitOf(revision: string): Promise<string>;
  /** Files of a commit. @throws DataError as commitOf */
  filesOf(commit: string): Promise<HubFile[]>;
  /** The bytes of a file from `start` on. @throws DataError as commitOf, also while they come */
  read(commit: string, file: HubFile, start: number): AsyncIterable<Uint8Array>;
}

const mostFiles = 200_000;

/** Opens a data set on the hub, for which it loads `@huggingface/hub`. @throws DataError `bad-option` */
export async function openHub(hubUrl: string, repository: string, token: string | undefined): Promise<HubClient> {
  if (token !== undefined && !token.startsWith("hf_")) {
    throw new DataError("bad-option", "HF_TOKEN: expected a token of the hub, which begins with hf_");
  }
  const { datasetInfo, downloadFile, listFiles } = await import("@huggingface/hub");
  const access = { hubUrl, ...(token !== undefined && { accessToken: token }) };
  const repo = { type: "dataset", name: repository } as const;
  const failure = (error: unknown, what: string): DataError => hubError(error, what, hubUrl, repository, token);
  return {
    async commitOf(revision) {
      try {
        const { sha } = await datasetInfo({ name: repository, revision, additionalFields: ["sha"], ...access });
        if (typeof sha === "string" && isCommit(sha)) return sha;
      } catch (error) {
        throw failure(error, `revision ${revision}`);
      }
      throw failure(new Error("it names no commit"), `revision ${revision}`);
    },
    async filesOf(commit) {
      const files: HubFile[] = [];
      try {
        for await (const entry of listFiles({ repo, revision: commit, recursive: true, ...access })) {
          const { type, path, size, oid, lfs } = entry;
          const file = { path, size: lfs?.size ?? size, hash: lfs?.oid ?? oid ?? "" };
          if (type === "file" && isFile(file)) files.push(file);
          if (files.length > mostFiles) throw new Error(`it lists more than ${mostFiles} files`);
        }
      } catch (error) {
        throw failure(error, "the list of files");
      }
      return files;
    },
    async *read(commit, file, start) {
      const path = file.path.split("/").map(encodeURIComponent).join("/");
      try {
        // Without the hub's own protocol for large files, which cannot go on where a download broke off.
        const blob = await downloadFile({ repo, path, revision: commit, xet: false, ...access });
        if (blob === null) throw new DataError("not-found", `hf:${repository}: the hub no longer has ${file.path}`);
        yield* (start === 0 ? blob : blob.slice(start, blob.size)).stream();
      } catch (error) {
        throw failure(error, file.path);
      }
    },
  };
}

function hubError(
  error: unknown,
  what: string,
  hubUrl: string,
  repository: string,
  token: string | undefined,
): DataError {
  if (error instanceof DataError) return error;
  const status = (error as { readonly statusCode?: unknown }).statusCode;
  const data = { repository, hubUrl, ...(typeof status === "number" && { status }) };
  const said = reasonOf(error);
  const page = `${hubUrl}/datasets/${repository}`;
  if (status === 404) {
    return new DataError("not-found", `hf:${repository}: ${what} is not on the hub, see ${page}`, data, error);
  }
  if (status === 401 || status === 403) {
    const isGated = status === 403 || /gated|restricted/i.test(said);
    const reason = isGated ? `accept its conditions on ${page}` : `see whether it is there on ${page}`;
    const tokenHint = token === undefined ? "set HF_TOKEN" : "check that HF_TOKEN may read it";
    const message = `hf:${repository}: the hub does not give ${what} to you: ${reason}, and ${tokenHint}`;
    return new DataError("hub-denied", message, data, error);
  }
  const advice = "check the network and try again";
  const message = `hf:${repository}: ${what} could not be fetched from ${hubUrl}: ${said}; ${advice}`;
  return new DataError("hub-unreachable", message, data, error);
}

/** In words; a stream that breaks gives a bare text. */
function reasonOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  const cause = error.cause as { readonly code?: unknown; readonly message?: unknown } | undefined;
  const detail = cause?.code ?? cause?.message;
  return `${error.message}${detail === undefined ? "" : ` (${String(detail)})`}`
    .split(/\. (?=URL:|Request ID:)/)[0]!
    .slice(0, 200);
}

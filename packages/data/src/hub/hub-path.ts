import { DataError } from "../data-error.ts";

/** What `hf:owner/name@revision/path` names. */
export interface HubPath {
  /** `owner/name` of a data set. */
  readonly repository: string;
  /** Branch, tag or commit. */
  readonly revision: string;
  /** A file, a folder, or a set of files in the data set; empty for the only set. */
  readonly path: string;
}

const form = /^hf:([^/@]+\/[^/@]+)(?:@([^/]+))?(?:\/(.*))?$/;
const name = /^[A-Za-z0-9][\w.-]{0,95}$/;

/** Takes a path of the hub apart. A slash in the name of a branch is written `%2F`.
 *  @throws DataError `bad-option` */
export function parseHubPath(text: string): HubPath {
  const [, repository = "", revision = "main", path = ""] = form.exec(text) ?? [];
  const decoded = decode(revision);
  const isName = repository.split("/").every((part) => name.test(part) && !part.includes(".."));
  const isRevision = decoded !== undefined && /^[\w./-]{1,200}$/.test(decoded) && isSafePath(decoded);
  const isPath = path === "" || isSafePath(path.replace(/\/$/, ""));
  if (repository !== "" && isName && isRevision && isPath) {
    return { repository, revision: decoded, path: path.replace(/\/$/, "") };
  }
  throw new DataError("bad-option", `expected hf:owner/name, hf:owner/name@revision or either with /path, got ${text}`);
}

function decode(text: string): string | undefined {
  try {
    return decodeURIComponent(text);
  } catch {
    return undefined;
  }
}

/** Whether a path of a repository stays within the folder that it is put in, on every system. */
export function isSafePath(path: string): boolean {
  if (path.length > 1000 || /[\\:*?"<>|\p{Cc}]/u.test(path)) return false;
  return path.split("/").every((part) => part !== "" && !/[. ]$/.test(part));
}

/** What kind of trouble a {@link DataError} reports; stable, for programs to test. */
export type DataErrorCode =
  | "bad-option"
  | "not-found"
  | "unreadable"
  | "unknown-format"
  | "bad-encoding"
  | "bad-row"
  | "bad-gzip"
  | "bad-parquet"
  | "inflation-limit"
  | "document-too-long"
  | "empty-corpus"
  | "too-short"
  | "bad-token"
  | "bad-shard"
  | "bad-manifest"
  | "hash-mismatch"
  | "hub-denied"
  | "hub-unreachable"
  | "output-exists"
  | "write-failed"
  | "wrong-position"
  | "bad-messages"
  | "bad-template"
  | "template-failed"
  | "template-limit"
  | "template-raised"
  | "template-not-incremental"
  | "content-not-found";

/** An error of `@danu/data`: one sentence with what was expected, what came, and what to do. */
export class DataError extends Error {
  override readonly name: string = "DataError";
  /** The kind of trouble. */
  readonly code: DataErrorCode;
  /** The facts of the sentence (file, line, offset, counts), for programs. */
  readonly data: Readonly<Record<string, unknown>>;

  constructor(code: DataErrorCode, message: string, data: Readonly<Record<string, unknown>> = {}, cause?: unknown) {
    super(message, cause === undefined ? undefined : { cause });
    this.code = code;
    this.data = data;
  }
}

/** Turns a file-system failure into a {@link DataError} and lets a `DataError` through unchanged. */
export function asDataError(error: unknown, code: DataErrorCode, what: string, path: string): DataError {
  if (error instanceof DataError) return error;
  const system = error as NodeJS.ErrnoException;
  if (system.code === "ENOENT" && code === "unreadable") {
    return new DataError("not-found", `${path}: no such file or folder`, { path }, error);
  }
  const reason = systemReasons[system.code ?? ""] ?? system.message ?? String(error);
  return new DataError(code, `${path}: ${what}: ${reason}`, { path, system: system.code }, error);
}

const systemReasons: Readonly<Record<string, string>> = {
  EACCES: "permission denied",
  EDQUOT: "the disk quota is used up",
  EIO: "the disk reported an input/output error",
  EISDIR: "it is a folder",
  ENOENT: "a folder on the way to it does not exist",
  ENOSPC: "the disk is full",
  ENOTDIR: "a part of the path is a file, not a folder",
  EROFS: "the file system is read-only",
};

/** Checks that an option is an integer of a range, inclusive.
 *  @throws DataError `bad-option` otherwise */
export function checkInteger(name: string, value: number, low: number, high: number = Number.MAX_SAFE_INTEGER): void {
  if (Number.isInteger(value) && value >= low && value <= high) return;
  const message = `${name}: expected an integer from ${low} to ${high}, got ${value}`;
  throw new DataError("bad-option", message, { name, value });
}

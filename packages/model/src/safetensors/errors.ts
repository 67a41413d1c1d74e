import { DanuError } from "@danu/tensor";

/** A safetensors file, header or shard index that breaks the format; `data.reason` is a stable word for the rule. */
export class SafetensorsError extends DanuError {
  constructor(reason: string, message: string, data: Record<string, unknown> = {}) {
    super("safetensors", message, { reason, ...data });
  }
}

/** A file that could not be opened, read, written or put in place; `data.errno` is the system's code, as `ENOSPC`. */
export class FileError extends DanuError {
  constructor(message: string, data: Record<string, unknown> = {}) {
    super("file", message, data);
  }
}

const sentences: Readonly<Record<string, string>> = {
  ENOENT: "there is no such file or folder; check the path",
  ENOTDIR: "a part of the path is a file, not a folder; check the path",
  EISDIR: "it is a folder, not a file; check the path",
  EACCES: "permission denied; check the owner and mode of the file and its folder",
  EPERM: "permission denied; check the owner and mode of the file and its folder",
  EROFS: "the file system is read-only; choose another folder",
  ENOSPC: "the disk is full; free some space or choose another folder",
  EDQUOT: "the disk quota is used up; free some space or choose another folder",
  EFBIG: "the file system does not take a file this large; write smaller shards or choose another folder",
  ENAMETOOLONG: "the name is too long for the file system; choose a shorter one",
  EMFILE: "too many files are open in this process; close some or raise the limit",
  EIO: "the device reported an input/output error; check the disk",
};

/** Turns a system error into one sentence, `cannot write PATH: the disk is full; …`; other errors pass unchanged. */
export function fileError(action: string, path: string, error: unknown): unknown {
  const errno = (error as { code?: unknown } | null)?.code;
  if (error instanceof DanuError || typeof errno !== "string" || !/^E[A-Z0-9]+$/.test(errno)) return error;
  return new FileError(`cannot ${action} ${path}: ${sentences[errno] ?? `the system said ${errno}`}`, {
    action, path, errno,
  });
}

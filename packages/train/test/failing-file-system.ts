import type { FileHandle } from "node:fs/promises";

import { nodeFileSystem, type FileSystem } from "../src/index.ts";

/** How operations fail from the chosen one on. */
export interface Failure {
  /** Number of the operation that fails, from 1. */
  readonly at: number;
  /** System code it fails with; without one the process counts as killed, and everything after fails too. */
  readonly errno?: string;
}

/** A file system that fails, with the number of operations it was asked for. */
export interface FailingFileSystem extends FileSystem {
  readonly operations: () => number;
}

type Operation = (...args: unknown[]) => Promise<unknown>;

class Killed extends Error {}

/** The machine's file system until an operation fails; a write that fails has written half of its text. */
export function failingFileSystem({ at, errno }: Failure): FailingFileSystem {
  let operations = 0;
  const wrap = (operation: Operation, tear?: Operation): Operation => (
    async (...args: unknown[]): Promise<unknown> => {
      operations++;
      if (errno === undefined ? operations >= at : operations === at) {
        if (operations === at) await tear?.(...args);
        throw errno === undefined ? new Killed("killed") : Object.assign(new Error(errno), { code: errno });
      }
      return operation(...args);
    }
  );
  const wrapHandle = (handle: FileHandle): FileHandle => new Proxy(handle, {
    get: (target, key: keyof FileHandle) => {
      const method = target[key];
      if (typeof method !== "function") return method;
      const bound = (method as Operation).bind(target);
      // A dead process closes its files too.
      if (key === "close") return bound;
      const writeHalf: Operation = (text) => target.writeFile(String(text).slice(0, String(text).length / 2));
      return key === "writeFile" ? wrap(bound, writeHalf) : wrap(bound);
    },
  });
  const wrapped = Object.fromEntries((["mkdir", "open", "readdir", "rename", "rm"] as const).map((name) => (
    [name, wrap(nodeFileSystem[name] as Operation)]
  ))) as unknown as FileSystem;
  const open: FileSystem["open"] = async (...args) => wrapHandle(await wrapped.open(...args));
  return { ...wrapped, open, operations: () => operations };
}

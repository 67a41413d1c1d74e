import { randomBytes } from "node:crypto";
import { readFileSync } from "node:fs";
import { link, rename, rm } from "node:fs/promises";
import { hostname } from "node:os";

import { RunFileError, RunFolderError } from "./errors.ts";
import { attempt, readText, writeSynced } from "./files.ts";

interface Holder {
  readonly pid: number;
  readonly host: string;
  /** When the process began, in the system's own unit; null where it does not say. */
  readonly began: string | null;
}

const maxLockBytes = 2 ** 12;

/** The right of one process to write a run folder, held as a file that names the process. */
export class RunLock implements AsyncDisposable {
  readonly path: string;
  readonly #text: string;

  private constructor(path: string, text: string) {
    this.path = path;
    this.#text = text;
  }

  /** Takes the lock; one whose process is gone is taken over.
   *  @throws RunFolderError when another process holds it  @throws RunFileError */
  static async acquire(path: string): Promise<RunLock> {
    const holder: Holder = { pid: process.pid, host: hostname(), began: beginningOf(process.pid) };
    const text = `${JSON.stringify({ ...holder, nonce: randomBytes(8).toString("hex") })}\n`;
    for (;;) {
      try {
        await writeSynced(path, text);
        return new RunLock(path, text);
      } catch (error) {
        if (!(error instanceof RunFileError) || error.data["errno"] !== "EEXIST") throw error;
      }
      await removeStale(path);
    }
  }

  /** Gives the lock back, unless someone deleted it and another process has it now. */
  async [Symbol.asyncDispose](): Promise<void> {
    if (await lockText(this.path) === this.#text) await rm(this.path, { force: true });
  }
}

/** Removes a lock whose process is gone. @throws RunFolderError when it is not */
async function removeStale(path: string): Promise<void> {
  const text = await lockText(path);
  if (text === null) return;
  const holder = parseHolder(text);
  if (holder === null || !isGone(holder)) {
    const who = holder === null ? "a process unknown" : `process ${holder.pid} on ${holder.host}`;
    const advice = "wait for it, or delete the file if that run is gone";
    throw new RunFolderError(`another run writes here: ${path} is held by ${who}; ${advice}`, {
      reason: "locked", path, ...holder,
    });
  }
  // Two processes may find the same stale lock; the slower one could move away the lock that the faster has just made.
  const aside = `${path}.${randomBytes(6).toString("hex")}`;
  await attempt("write", path, async () => {
    await rename(path, aside).catch((error: unknown) => {
      if ((error as { code?: unknown }).code !== "ENOENT") throw error;
    });
    const moved = await lockText(aside);
    if (moved !== null && moved !== text) await link(aside, path).catch(() => undefined);
    await rm(aside, { force: true });
  });
}

async function lockText(path: string): Promise<string | null> {
  try {
    return await readText(path, maxLockBytes);
  } catch (error) {
    if (error instanceof RunFileError && error.data["errno"] === "ENOENT") return null;
    throw error;
  }
}

function parseHolder(text: string): Holder | null {
  try {
    const { pid, host, began } = JSON.parse(text) as Partial<Record<keyof Holder, unknown>>;
    if (!Number.isSafeInteger(pid) || (pid as number) <= 0 || typeof host !== "string") return null;
    return { pid: pid as number, host, began: typeof began === "string" ? began : null };
  } catch {
    return null;
  }
}

/** True only where it is certain: a process of another machine cannot be asked. */
function isGone({ pid, host, began }: Holder): boolean {
  if (host !== hostname()) return false;
  try {
    process.kill(pid, 0);
  } catch (error) {
    return (error as { code?: unknown }).code === "ESRCH";
  }
  const now = beginningOf(pid);
  return began !== null && now !== null && began !== now;
}

/** Tells a process from a later one with the same number: ticks since the boot and the boot's id, where Linux says. */
function beginningOf(pid: number): string | null {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
    // The name in parentheses may hold spaces; the start time is the 20th field after it.
    const ticks = stat.slice(stat.lastIndexOf(")") + 2).split(" ")[19];
    return `${readFileSync("/proc/sys/kernel/random/boot_id", "utf8").trim()} ${ticks}`;
  } catch {
    return null;
  }
}

import { createHash } from "node:crypto";
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { setTimeout } from "node:timers/promises";

const kept = 24 * 3600_000;

/** Name of what is made from texts, the same for the same texts. */
export function nameOf(...texts: readonly string[]): string {
  const hash = createHash("sha256");
  for (const text of texts) hash.update(`${text.length}:`).update(text);
  return hash.digest("hex").slice(0, 24);
}

/** Makes a file that does not exist yet, while other processes that want the same one wait. */
export async function once(path: string, work: () => Promise<void>): Promise<void> {
  if (existsSync(path)) return;
  mkdirSync(dirname(path), { recursive: true });
  const lock = `${path}.lock`;
  while (!tryLock(lock)) await setTimeout(100);
  try {
    if (!existsSync(path)) await work();
  } finally {
    rmSync(lock, { force: true });
  }
}

/** Runs jobs, two at a time. */
export async function runAll(jobs: readonly (() => Promise<void>)[]): Promise<void> {
  const waiting = [...jobs];
  const worker = async (): Promise<void> => {
    for (let job = waiting.shift(); job !== undefined; job = waiting.shift()) await job();
  };
  await Promise.all([worker(), worker()]);
}

/** Removes what was made more than a day ago, so that not every edit of a kernel stays for ever. */
export function prune(folder: string): void {
  if (!existsSync(folder)) return;
  for (const name of readdirSync(folder)) {
    const path = join(folder, name);
    const made = statSync(path, { throwIfNoEntry: false });
    if (made !== undefined && Date.now() - made.mtimeMs > kept) rmSync(path, { recursive: true, force: true });
  }
}

function tryLock(lock: string): boolean {
  try {
    writeFileSync(lock, `${process.pid}`, { flag: "wx" });
    return true;
  } catch {
    if (!isOwned(lock)) rmSync(lock, { force: true });
    return false;
  }
}

/** Whether the process lives that made the lock. */
function isOwned(lock: string): boolean {
  try {
    const owner = Number(readFileSync(lock, "utf8"));
    // Between the making of the file and the writing of the number the owner is not known yet.
    return owner === 0 || process.kill(owner, 0);
  } catch {
    return false;
  }
}

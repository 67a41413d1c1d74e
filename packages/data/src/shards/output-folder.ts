import { randomBytes } from "node:crypto";
import { closeSync, existsSync, fsyncSync, mkdirSync, openSync, readdirSync } from "node:fs";
import { realpathSync, renameSync, rmSync, writeSync } from "node:fs";
import { dirname, join, resolve } from "node:path";
import { asDataError, DataError } from "../data-error.ts";
import { manifestName } from "./manifest.ts";

/** A folder that is filled beside its place and put there whole, or not at all. */
export class OutputFolder {
  /** Where to write meanwhile. */
  readonly partial: string;
  readonly #out: string;
  readonly #overwrite: boolean;

  /** @param overwrite lets it replace a dataset; a folder with anything else in it is never replaced
   *  @throws DataError `output-exists`, `write-failed` */
  constructor(out: string, overwrite: boolean) {
    // A link to a folder stays a link: what it points to is replaced.
    this.#out = existsSync(out) ? realpathSync(out) : resolve(out);
    this.#overwrite = overwrite;
    this.#checkPlace();
    this.partial = `${this.#out}.partial-${randomBytes(4).toString("hex")}`;
    this.#try(() => {
      mkdirSync(dirname(this.#out), { recursive: true });
      mkdirSync(this.partial);
    });
  }

  /** Writes a small file and syncs it. */
  writeText(name: string, text: string): void {
    this.#try(() => {
      const file = openSync(join(this.partial, name), "wx");
      try {
        const bytes = Buffer.from(text, "utf8");
        for (let done = 0; done < bytes.length; ) done += writeSync(file, bytes, done);
        fsyncSync(file);
      } finally {
        closeSync(file);
      }
    });
  }

  /** Puts the folder in its place. What stood there is set aside first and removed last, and put back on failure. */
  publish(): void {
    this.#checkPlace();
    this.#try(() => {
      syncFolder(this.partial);
      const replaced = `${this.partial}.replaced`;
      try {
        if (existsSync(join(this.#out, manifestName))) renameSync(this.#out, replaced);
        renameSync(this.partial, this.#out);
        syncFolder(dirname(this.#out));
      } catch (error) {
        if (!existsSync(this.partial)) renameSync(this.#out, this.partial);
        if (existsSync(replaced)) renameSync(replaced, this.#out);
        throw error;
      }
      rmSync(replaced, { recursive: true, force: true });
    });
  }

  /** Gives up and removes what was written. */
  abandon(): void {
    rmSync(this.partial, { recursive: true, force: true });
  }

  #checkPlace(): void {
    const found = this.#try(() => (existsSync(this.#out) ? readdirSync(this.#out) : []));
    if (found.length === 0) return;
    if (!found.includes(manifestName)) {
      throw new DataError("output-exists", `${this.#out}: the folder is not empty and is no dataset; name another`, {
        path: this.#out,
      });
    }
    if (this.#overwrite) return;
    const message = `${this.#out}: already holds a dataset; name another folder or ask to overwrite`;
    throw new DataError("output-exists", message, { path: this.#out });
  }

  #try<R>(action: () => R): R {
    try {
      return action();
    } catch (error) {
      throw asDataError(error, "write-failed", "cannot be written", this.#out);
    }
  }
}

/** Makes the names in a folder durable; a no-op where folders cannot be opened (Windows). */
function syncFolder(path: string): void {
  if (process.platform === "win32") return;
  const folder = openSync(path, "r");
  try {
    fsyncSync(folder);
  } finally {
    closeSync(folder);
  }
}

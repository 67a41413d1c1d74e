import { closeSync, fsyncSync, openSync, writeSync } from "node:fs";
import { asDataError, DataError } from "../data-error.ts";

/** A row that could not be used. */
export interface BadRow {
  readonly source: string;
  /** From 1. */
  readonly line: number;
  readonly reason: string;
  /** The row as it stands, its first 64 KiB. */
  readonly row: string;
}

/** What to do with rows that cannot be used. */
export interface BadRowOptions {
  /** `error` (the default) stops at the first; `skip` passes over them and counts them. */
  readonly badRows?: "error" | "skip";
  /** With `skip`: file that receives each bad row as a line of JSON, made when the first one comes. */
  readonly quarantine?: string;
  /** With `skip`: told of each bad row. */
  readonly onBadRow?: (row: BadRow) => void;
}

const shownCharacters = 64 * 1024;

/** Applies {@link BadRowOptions}. */
export class BadRows {
  /** Rows passed over so far. */
  count: number = 0;
  readonly #options: BadRowOptions;
  #file: number | null = null;

  constructor(options: BadRowOptions) {
    this.#options = options;
  }

  /** Reports a row.
   *  @throws DataError `bad-row`, as `file:line: reason`, unless bad rows are skipped; `write-failed` */
  report(source: string, line: number, reason: string, bytes: Buffer): void {
    if (this.#options.badRows !== "skip") {
      throw new DataError("bad-row", `${source}:${line}: ${reason}`, { source, line, reason });
    }
    this.count++;
    const bad: BadRow = { source, line, reason, row: bytes.subarray(0, shownCharacters).toString("utf8") };
    if (this.#options.quarantine !== undefined) this.#write(this.#options.quarantine, bad);
    this.#options.onBadRow?.(bad);
  }

  /** Closes the quarantine file, if one was made. */
  close(): void {
    if (this.#file === null) return;
    const file = this.#file;
    this.#file = null;
    try {
      fsyncSync(file);
    } finally {
      closeSync(file);
    }
  }

  #write(path: string, bad: BadRow): void {
    try {
      this.#file ??= openSync(path, "w");
      writeSync(this.#file, `${JSON.stringify(bad)}\n`);
    } catch (error) {
      throw asDataError(error, "write-failed", "the quarantine file cannot be written", path);
    }
  }
}

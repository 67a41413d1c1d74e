import { constants } from "node:os";

import type { Io } from "./io.ts";

/** A command line that cannot be understood; exit code 2. */
export class UsageError extends Error {}

/** An input of the command that is wrong; exit code 1. */
export class InputError extends Error {}

/** Stopped by a signal before there was anything to keep; exit code as a shell's, 128 and the signal's number. */
export class InterruptedError extends Error {
  readonly exitCode: number;

  constructor(signal: string) {
    super(`stopped by ${signal} before the first step; nothing was kept`);
    this.exitCode = signalExitCode(signal);
  }
}

/** Exit code of a process that a signal ended. */
export function signalExitCode(signal: string): number {
  return 128 + (constants.signals[signal as NodeJS.Signals] ?? 0);
}

/** Names under which the packages throw on purpose, beside the classes that extend `DanuError`. */
const ownNames = new Set(["DataError", "TokenizerError"]);
const danuError = Symbol.for("danu.error");

const systemReasons: Readonly<Record<string, string>> = {
  EACCES: "permission denied",
  EDQUOT: "the disk quota is used up",
  EISDIR: "it is a folder, expected a file",
  ENOENT: "there is no such file or folder",
  ENOSPC: "the disk is full",
  ENOTDIR: "a part of the path is a file, not a folder",
  EROFS: "the file system is read-only",
};

/** Tells the user what went wrong, in one sentence for errors that danu foresees, and gives the exit code. A stack is
 *  shown for the others, and for all with DANU_DEBUG=1. */
export function reportError(error: unknown, command: string, io: Io): number {
  const sentence = sentenceOf(error);
  const prefix = command === "" ? "danu" : `danu ${command}`;
  if (io.env["DANU_DEBUG"] === "1") io.stderr.write(`${(error as Error | null)?.stack ?? String(error)}\n`);
  if (sentence === null) {
    const message = error instanceof Error ? error.message : String(error);
    const advice = "this is a fault of danu: set DANU_DEBUG=1 to see where, and report it";
    io.stderr.write(`${prefix}: unexpected error: ${oneLine(message)}; ${advice}\n`);
    return 1;
  }
  io.stderr.write(`${prefix}: ${oneLine(sentence)}\n`);
  if (error instanceof InterruptedError) return error.exitCode;
  if (!(error instanceof UsageError)) return 1;
  io.stderr.write(`Try "${prefix} --help".\n`);
  return 2;
}

function sentenceOf(error: unknown): string | null {
  if (!(error instanceof Error)) return null;
  if ([UsageError, InputError, InterruptedError].some((kind) => error instanceof kind)) return error.message;
  if (danuError in error || ownNames.has(error.name)) return error.message;
  const { code, path } = error as NodeJS.ErrnoException;
  const reason = code === undefined ? undefined : systemReasons[code];
  return reason === undefined ? null : `${path === undefined ? "" : `${path}: `}${reason}`;
}

function oneLine(text: string): string {
  return text.replace(/\s*\n\s*/g, " ");
}

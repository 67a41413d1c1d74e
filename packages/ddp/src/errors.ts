import { DanuError } from "@danu/tensor";

/** Ranks did not make the same calls, or one of them left or failed; their collective is then of no further use. */
export class CollectiveError extends DanuError {
  /** @param rank the one that differed, left or failed; null where all did  @param cause its own error, where there is one */
  constructor(message: string, rank: number | null, cause?: unknown) {
    super("collective", message, { rank });
    if (cause !== undefined) this.cause = cause;
  }
}

/** The words of an error of any kind. */
export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

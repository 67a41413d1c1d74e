import type { ChatMessage } from "../chat/messages.ts";
import { DataError } from "../data-error.ts";
import { keyOf } from "../keyed-hash.ts";

/** Which part of a data set to read. */
export interface SplitOptions {
  readonly part: "train" | "validation";
  /** Share that is held out for validation, from 0 to 1. */
  readonly fraction: number;
  /** 0 by default. */
  readonly seed?: number;
}

/** Whether examples are held out, as a pure function of seed and group: rows may come and go, and files be read in any
 *  order, without one crossing over. Groups are held out whole, so that the share is right only for many of them. */
export function isHeldOut(group: string, fraction: number, seed: number = 0): boolean {
  const [hash = 0] = keyOf("held out", seed, group);
  return hash / 2 ** 32 < fraction;
}

/** @throws DataError `bad-option` */
export function checkSplit({ part, fraction }: SplitOptions): void {
  if (part !== "train" && part !== "validation") {
    throw new DataError("bad-option", `split.part: expected "train" or "validation", got ${String(part)}`);
  }
  if (fraction >= 0 && fraction <= 1) return;
  throw new DataError("bad-option", `split.fraction: expected a number from 0 to 1, got ${fraction}`, { fraction });
}

/** What a split keeps together: the group that an example names, else the first message of the user. */
export function groupOf(group: string | undefined, messages: readonly ChatMessage[]): string {
  return group ?? messages.find(({ role }) => role === "user")?.content ?? "";
}

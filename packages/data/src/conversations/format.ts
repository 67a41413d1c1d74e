import type { Fields } from "./fields.ts";

/** What adapters are told besides the row. */
export interface FormatOptions {
  /** Of Open Assistant trees, the languages to take (`en`); all by default. */
  readonly languages?: readonly string[];
  /** Told why a part of a row is passed over that is not at fault; the row is the one at hand, or in this line. */
  readonly drop?: (reason: string, line?: number) => void;
}

/** A format of which every row stands for itself. */
export interface RowFormat<T> {
  readonly name: string;
  /** The fields that tell it, for messages. */
  readonly fields: string;
  readonly recognises: (row: Fields) => boolean;
  /** Examples in a row. @throws RowProblem */
  readonly read: (row: Fields, options: FormatOptions) => readonly T[];
}

/** An example, or what is wrong with a row, found when a file has been read whole. */
export type Gathered<T> = { readonly line: number; readonly row: Fields } & (
  | { readonly example: T }
  | { readonly problem: string }
);

/** Takes the rows of a file one after another. */
export interface Gatherer<T> {
  add(row: Fields, line: number): void;
  finish(): Iterable<Gathered<T>>;
}

/** A format whose rows belong together. */
export interface GatheredFormat<T> {
  readonly name: string;
  readonly fields: string;
  readonly recognises: (row: Fields) => boolean;
  readonly gather: (options: FormatOptions) => Gatherer<T>;
}

/** A format of data sets. */
export type Format<T> = RowFormat<T> | GatheredFormat<T>;

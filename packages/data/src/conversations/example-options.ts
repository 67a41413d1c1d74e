import type { HubOptions } from "../hub/hub-options.ts";
import type { BadRowOptions } from "../readers/bad-rows.ts";
import type { InflationLimits } from "../readers/read-bytes.ts";
import type { InvalidText } from "../readers/utf8.ts";
import type { Origin } from "./conversation.ts";
import type { Format } from "./format.ts";
import type { SplitOptions } from "./split.ts";
import type { SystemMessages } from "./system-messages.ts";

/** What is passed over without being at fault. */
export interface DroppedPart extends Origin {
  readonly reason: string;
}

/** Settings of the readers of conversations, preferences and labelled completions. */
export interface ExampleOptions extends InflationLimits, BadRowOptions {
  /** Name of the format of all rows; by default each file's is recognised by its first row. */
  readonly format?: string;
  /** Of Open Assistant trees, the languages to take (`en`); all by default. */
  readonly languages?: readonly string[];
  /** `keep` by default. */
  readonly system?: SystemMessages;
  /** Reads one side of a split; by default all. */
  readonly split?: SplitOptions;
  /** Most bytes in a row; 64 MiB by default, and held in memory at once. */
  readonly maxDocumentBytes?: number;
  /** Bytes that are not UTF-8: `error` (the default), or `replace` by U+FFFD. */
  readonly invalidText?: InvalidText;
  /** For paths that begin with `hf:`. */
  readonly hub?: HubOptions;
  /** Told the format of each file, once it is known. */
  readonly onFormat?: (source: string, format: string) => void;
  /** Told of parts of rows that are passed over: deleted messages, other languages. */
  readonly onDropped?: (part: DroppedPart) => void;
  /** Told the number of bytes just taken from the disk, before inflation. */
  readonly onBytes?: (count: number) => void;
}

/** What sets the readers apart: formats give examples T, of which results R are made. */
export interface ExampleKind<T, R = T> {
  /** Name of the reader. */
  readonly reader: string;
  readonly formats: readonly Format<T>[];
  /** Places the system message and checks the example. @throws RowProblem */
  readonly finish: (example: T, system: SystemMessages) => R;
  /** What a split keeps together. */
  readonly group: (example: R) => string;
}

import { basename, join } from "node:path";

import {
  DataError, isHeldOut, readTrainingChats, readTrainingPairs,
  type ExampleOptions, type Origin, type TrainingChat, type TrainingEncoding, type TrainingPair,
} from "@danu/data";

import { InputError } from "../../cli/errors.ts";
import { withCommas } from "../../cli/format.ts";
import type { Reporter } from "../../cli/reporter.ts";
import type { TuningRecipe } from "../../recipe/tuning.ts";
import type { TuningSource } from "./source.ts";

/** Examples of a run. */
export interface Examples<T> {
  readonly train: readonly T[];
  /** Held out, as many as a validation takes. */
  readonly validation: readonly T[];
  /** Malformed rows that were passed over. */
  readonly skipped: number;
}

/** What examples are read with. */
export interface ExamplesOptions {
  readonly recipe: TuningRecipe;
  readonly source: TuningSource;
  /** The run folder, which receives the quarantine files. */
  readonly folder: string;
  readonly reporter: Reporter;
  readonly signal: AbortSignal;
}

/** Reads the conversations of a recipe. @throws DataError; InputError where none are left to train on */
export function readChats(options: ExamplesOptions): Promise<Examples<TrainingChat>> {
  return readWith(options, readTrainingChats, "conversations");
}

/** Reads the pairs of a recipe. @throws DataError; InputError where none are left to train on */
export function readPairs(options: ExamplesOptions): Promise<Examples<TrainingPair>> {
  return readWith(options, readTrainingPairs, "pairs");
}

/** Files that reading examples may make in a run folder. */
export function quarantineFiles(folder: string): { readonly train: string; readonly validation: string } {
  return { train: join(folder, "quarantine.jsonl"), validation: join(folder, "quarantine-validation.jsonl") };
}

type Read<T> = (
  paths: readonly string[], encoding: TrainingEncoding, options: ExampleOptions,
) => AsyncGenerator<T & Origin, void, undefined>;

async function readWith<T extends { readonly group: string }>(
  { recipe, source, folder, reporter, signal }: ExamplesOptions, read: Read<T>, name: string,
): Promise<Examples<T>> {
  const { data, validation, sequenceLength, seed } = recipe;
  const encoding = { tokenizer: source.tokenizer.tokenizer, template: source.template, maxLength: sequenceLength };
  const files = quarantineFiles(folder);
  let skipped = 0;
  const all = async function* (paths: readonly string[], quarantine: string): AsyncGenerator<T, void, undefined> {
    const bad = { count: 0 };
    let count = 0;
    const options = {
      badRows: data.badRows, quarantine, system: data.systemMessages, onBadRow: () => void bad.count++,
      ...(data.format === null ? {} : { format: data.format }),
      ...(data.languages === null ? {} : { languages: data.languages }),
    };
    try {
      for await (const example of read(paths, encoding, options)) {
        if (signal.aborted) throw signal.reason;
        if (++count % 500 === 0) reporter.progress(`reading ${name}: ${withCommas(count)}`);
        yield example;
      }
    } catch (error) {
      throw withRemedy(error);
    }
    skipped += bad.count;
    if (bad.count === 0) return;
    const rows = bad.count === 1 ? "1 malformed row" : `${withCommas(bad.count)} malformed rows`;
    reporter.note(`passed over ${rows}, see ${basename(quarantine)} in the run folder`);
  };
  const train: T[] = [];
  const heldOut = new HeldOut<T>(validation.examples);
  const separate = validation.paths.length > 0;
  for await (const example of all(data.paths, files.train)) {
    const mayHoldOut = !separate && isHeldOut(example.group, validation.fraction, seed);
    if (!mayHoldOut || !heldOut.take(example)) train.push(example);
  }
  if (train.length === 0) {
    const held = heldOut.examples.length === 0 ? "none" : `${withCommas(heldOut.examples.length)} that are held out`;
    throw new InputError(`${data.paths.join(", ")}: expected ${name} to train on, got ${held}`);
  }
  if (separate) for await (const example of all(validation.paths, files.validation)) heldOut.take(example);
  if (heldOut.examples.length === 0 && (separate || validation.fraction > 0)) {
    reporter.note(`no ${name} are held out; give --validation-data, or more of them`);
  }
  return { train, validation: heldOut.examples, skipped };
}

/** The same error with what to do about it, where its sentence does not say so. */
function withRemedy(error: unknown): unknown {
  if (!(error instanceof DataError)) return error;
  const remedy = remedies[error.code === "unknown-format" ? String(error.data["reader"]) : error.code];
  return remedy === undefined ? error : new InputError(`${error.message}; ${remedy}`);
}

const remedies: Readonly<Record<string, string>> = {
  "bad-row": "mend the row, or pass over such rows with --skip-bad-rows",
  readConversations: "give them to danu sft",
  readPreferences: "give them to danu dpo",
};

/** Takes examples until there are enough; what is of one group with them is not trained either. */
class HeldOut<T extends { readonly group: string }> {
  readonly examples: T[] = [];
  readonly #groups = new Set<string>();
  readonly #most: number;

  constructor(most: number) {
    this.#most = most;
  }

  /** @returns false for an example that may be trained */
  take(example: T): boolean {
    const hasRoom = this.examples.length < this.#most;
    if (hasRoom) {
      this.examples.push(example);
      this.#groups.add(example.group);
    }
    return hasRoom || this.#groups.has(example.group);
  }
}

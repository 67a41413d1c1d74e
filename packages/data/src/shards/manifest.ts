import { readFileSync, statSync } from "node:fs";
import { asDataError, DataError } from "../data-error.ts";

/** One shard in the manifest. */
export interface ShardEntry {
  /** Name in the dataset's folder. */
  readonly file: string;
  readonly tokens: number;
  readonly documents: number;
  /** SHA-256 of the shard after its header, 64 hexadecimal digits. */
  readonly contentHash: string;
}

/** One split in the manifest. */
export interface SplitEntry {
  readonly tokens: number;
  readonly documents: number;
  /** Bytes of UTF-8 of the texts. */
  readonly textBytes: number;
  readonly shards: readonly ShardEntry[];
}

/** What `dataset.json` says: how the tokens were made, and where they are. */
export interface Manifest {
  readonly format: "danu-dataset";
  readonly version: 1;
  readonly tokenizer: {
    /** SHA-256 of the tokenizer file, 64 hexadecimal digits. */
    readonly sha256: string;
    readonly vocabularySize: number;
    readonly bosId: number;
    readonly eosId: number;
  };
  /** Every document begins with the begin token. */
  readonly addBos: boolean;
  /** Every document ends with the end token. */
  readonly addEos: boolean;
  readonly seed: number;
  readonly validationFraction: number;
  /** Validation holds whole documents, or the end of the token sequence where there were too few of them. */
  readonly validationSplit: "documents" | "tail";
  readonly splits: { readonly train: SplitEntry; readonly validation: SplitEntry };
}

/** Name of the manifest in a dataset's folder. */
export const manifestName = "dataset.json";

const maxManifestBytes = 64 * 1024 * 1024;

/** Reads and checks a manifest.
 *  @throws DataError `not-found`, `unreadable`, `bad-manifest` naming the field */
export function readManifest(path: string): Manifest {
  let value: unknown;
  try {
    const { size } = statSync(path);
    if (size > maxManifestBytes) throw bad(path, `it has ${size} bytes, expected at most ${maxManifestBytes}`);
    value = JSON.parse(readFileSync(path, "utf8"));
  } catch (error) {
    if (error instanceof SyntaxError) throw bad(path, `it is not JSON: ${error.message}`);
    throw asDataError(error, "unreadable", "cannot be read", path);
  }
  return check(value, path);
}

function check(value: unknown, path: string): Manifest {
  const fields = objectOf(value, "the manifest", path);
  if (fields["format"] !== "danu-dataset") throw bad(path, 'expected format "danu-dataset"');
  if (fields["version"] !== 1) throw bad(path, `expected version 1, got ${String(fields["version"])}`);
  const tokenizer = objectOf(fields["tokenizer"], "tokenizer", path);
  const splits = objectOf(fields["splits"], "splits", path);
  const tail = fields["validationSplit"] === "tail";
  if (!tail && fields["validationSplit"] !== "documents") {
    throw bad(path, "validationSplit is neither documents nor tail");
  }
  return {
    format: "danu-dataset",
    version: 1,
    tokenizer: {
      sha256: hashOf(tokenizer["sha256"], "tokenizer.sha256", path),
      vocabularySize: integerOf(tokenizer["vocabularySize"], "tokenizer.vocabularySize", 1, path),
      bosId: integerOf(tokenizer["bosId"], "tokenizer.bosId", -1, path),
      eosId: integerOf(tokenizer["eosId"], "tokenizer.eosId", -1, path),
    },
    addBos: fields["addBos"] === true,
    addEos: fields["addEos"] === true,
    seed: integerOf(fields["seed"], "seed", 0, path),
    validationFraction: fractionOf(fields["validationFraction"], path),
    validationSplit: tail ? "tail" : "documents",
    splits: {
      train: splitOf(splits["train"], "splits.train", path),
      validation: splitOf(splits["validation"], "splits.validation", path),
    },
  };
}

function splitOf(value: unknown, name: string, path: string): SplitEntry {
  const fields = objectOf(value, name, path);
  const listed = fields["shards"];
  if (!Array.isArray(listed)) throw bad(path, `${name}.shards is not a list`);
  const shards = listed.map((entry, i) => shardOf(entry, `${name}.shards[${i}]`, path));
  const split = {
    tokens: integerOf(fields["tokens"], `${name}.tokens`, 0, path),
    documents: integerOf(fields["documents"], `${name}.documents`, 0, path),
    textBytes: integerOf(fields["textBytes"], `${name}.textBytes`, 0, path),
    shards,
  };
  for (const count of ["tokens", "documents"] as const) {
    const sum = shards.reduce((total, shard) => total + shard[count], 0);
    if (sum !== split[count]) throw bad(path, `${name}.${count} is ${split[count]}, its shards have ${sum}`);
  }
  return split;
}

function shardOf(value: unknown, name: string, path: string): ShardEntry {
  const fields = objectOf(value, name, path);
  const file = fields["file"];
  // A name alone: a manifest must not reach outside its folder.
  if (typeof file !== "string" || !/^[A-Za-z0-9_-]{1,100}\.tokens$/.test(file)) {
    throw bad(path, `${name}.file is not the name of a shard`);
  }
  return {
    file,
    tokens: integerOf(fields["tokens"], `${name}.tokens`, 1, path),
    documents: integerOf(fields["documents"], `${name}.documents`, 1, path),
    contentHash: hashOf(fields["contentHash"], `${name}.contentHash`, path),
  };
}

function objectOf(value: unknown, name: string, path: string): Record<string, unknown> {
  if (typeof value === "object" && value !== null && !Array.isArray(value)) return value as Record<string, unknown>;
  throw bad(path, `${name} is not an object`);
}

function integerOf(value: unknown, name: string, low: number, path: string): number {
  if (typeof value === "number" && Number.isSafeInteger(value) && value >= low) return value;
  throw bad(path, `${name}: expected an integer of at least ${low}`);
}

function fractionOf(value: unknown, path: string): number {
  if (typeof value === "number" && value >= 0 && value < 1) return value;
  throw bad(path, "validationFraction: expected a number from 0 to below 1");
}

function hashOf(value: unknown, name: string, path: string): string {
  if (typeof value === "string" && /^[0-9a-f]{64}$/.test(value)) return value;
  throw bad(path, `${name}: expected 64 hexadecimal digits`);
}

function bad(path: string, reason: string): DataError {
  return new DataError("bad-manifest", `${path}: not a dataset manifest: ${reason}`, { path, reason });
}

import { join } from "node:path";
import { DataError } from "../data-error.ts";
import { manifestName, readManifest, type Manifest, type SplitEntry } from "./manifest.ts";
import { Shard } from "./shard.ts";
import { TokenStream } from "./token-stream.ts";

/** A prepared dataset, open for reading. */
export interface Dataset extends Disposable {
  readonly folder: string;
  readonly manifest: Manifest;
  readonly train: TokenStream;
  /** Without tokens where no validation split was asked for. */
  readonly validation: TokenStream;
  /** Closes the files. */
  close(): void;
}

/** Settings of {@link openDataset}. */
export interface OpenOptions {
  /** Reads everything once, checking content hashes and ids; headers are checked in any case. */
  readonly verify?: boolean;
  /** SHA-256 of the tokenizer in use, 64 hexadecimal digits: refuses data made with another. */
  readonly tokenizerHash?: string;
}

/** Opens a folder that {@link prepareDataset} made.
 *  @throws DataError `not-found`, `unreadable`, `bad-manifest`, `bad-shard`, `hash-mismatch` */
export function openDataset(folder: string, options: OpenOptions = {}): Dataset {
  const manifest = readManifest(join(folder, manifestName));
  const { sha256 } = manifest.tokenizer;
  if (options.tokenizerHash !== undefined && options.tokenizerHash !== sha256) {
    throw new DataError(
      "hash-mismatch",
      `${folder}: prepared with another tokenizer (${sha256.slice(0, 8)}…, in use ` +
        `${options.tokenizerHash.slice(0, 8)}…); prepare the data again with the tokenizer in use`,
      { folder, expected: options.tokenizerHash, found: sha256 },
    );
  }
  const shards: Shard[] = [];
  const close = (): void => shards.forEach((shard) => shard.close());
  try {
    const train = openSplit("training", folder, manifest, manifest.splits.train, options, shards);
    const validation = openSplit("validation", folder, manifest, manifest.splits.validation, options, shards);
    return { folder, manifest, train, validation, close, [Symbol.dispose]: close };
  } catch (error) {
    close();
    throw error;
  }
}

function openSplit(
  name: string,
  folder: string,
  manifest: Manifest,
  split: SplitEntry,
  options: OpenOptions,
  opened: Shard[],
): TokenStream {
  const { sha256, vocabularySize } = manifest.tokenizer;
  const shards = split.shards.map((entry) => {
    const shard = new Shard(join(folder, entry.file), options.verify);
    opened.push(shard);
    const { header } = shard;
    const agrees =
      header.tokens === entry.tokens &&
      header.documents === entry.documents &&
      header.contentHash === entry.contentHash &&
      header.tokenizerHash === sha256 &&
      header.vocabularySize === vocabularySize;
    if (!agrees) {
      const path = join(folder, entry.file);
      const message = `${path}: not the shard that ${manifestName} lists; prepare the data again`;
      throw new DataError("bad-shard", message, { path });
    }
    return shard;
  });
  return new TokenStream(name, shards, vocabularySize);
}

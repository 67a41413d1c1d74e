import { ignoredTarget, readBatch } from "../sampler/batch.ts";
import type { Manifest, SplitEntry } from "../shards/manifest.ts";
import type { Dataset } from "../shards/open-dataset.ts";
import type { TokenStream } from "../shards/token-stream.ts";

/** Documents of a range of lengths. */
export interface LengthBucket {
  /** Least number of tokens, a power of two. */
  readonly from: number;
  /** One more than the greatest. */
  readonly to: number;
  readonly documents: number;
  readonly tokens: number;
}

/** Statistics of one split. */
export interface SplitStatistics {
  readonly documents: number;
  readonly tokens: number;
  readonly shards: number;
  /** Bytes of UTF-8 of the texts. */
  readonly textBytes: number;
  /** Tokens for a byte of text, begin and end tokens included; null without text. */
  readonly tokensPerByte: number | null;
  /** Length of a document, in tokens. */
  readonly shortest: number;
  readonly longest: number;
  readonly mean: number;
  /** Lengths by powers of two, empty ranges between included. */
  readonly lengths: readonly LengthBucket[];
}

/** A token as training sees it. */
export interface InspectedToken {
  readonly id: number;
  readonly text: string;
  /** Its document begins with it. */
  readonly beginsDocument: boolean;
  /** The model is trained to predict the token after it. */
  readonly trained: boolean;
}

/** What {@link inspectDataset} finds. */
export interface DatasetReport {
  readonly manifest: Manifest;
  readonly train: SplitStatistics;
  readonly validation: SplitStatistics;
  /** The first rows of the training split in its own order. */
  readonly rows: readonly (readonly InspectedToken[])[];
}

/** Settings of {@link inspectDataset}. */
export interface InspectOptions {
  /** Rows to show; 2 by default. */
  readonly rows?: number;
  /** Tokens in a row; 128 by default, fewer where the split is shorter. */
  readonly sequenceLength?: number;
  /** Text of one token; by default its number. */
  readonly decodeToken?: (id: number) => string;
}

/** Gathers statistics of a dataset and its first rows with their masks.
 *  @throws DataError `bad-shard`, `unreadable` */
export function inspectDataset(dataset: Dataset, options: InspectOptions = {}): DatasetReport {
  const { manifest, train, validation } = dataset;
  return {
    manifest,
    train: statisticsOf(train, manifest.splits.train),
    validation: statisticsOf(validation, manifest.splits.validation),
    rows: firstRows(train, options),
  };
}

function statisticsOf(stream: TokenStream, entry: SplitEntry): SplitStatistics {
  const { documents, tokens } = stream;
  const counts: { documents: number; tokens: number }[] = [];
  let shortest = documents === 0 ? 0 : Infinity;
  let longest = 0;
  for (let document = 0, start = 0; document < documents; document++) {
    const end = stream.documentStart(document + 1);
    const length = end - start;
    shortest = Math.min(shortest, length);
    longest = Math.max(longest, length);
    const power = Math.floor(Math.log2(length));
    const count = (counts[power] ??= { documents: 0, tokens: 0 });
    count.documents++;
    count.tokens += length;
    start = end;
  }
  return {
    documents,
    tokens,
    shards: entry.shards.length,
    textBytes: entry.textBytes,
    tokensPerByte: entry.textBytes === 0 ? null : tokens / entry.textBytes,
    shortest,
    longest,
    mean: documents === 0 ? 0 : tokens / documents,
    lengths: bucketsOf(counts),
  };
}

function bucketsOf(counts: readonly ({ documents: number; tokens: number } | undefined)[]): LengthBucket[] {
  const first = counts.findIndex((count) => count !== undefined);
  if (first === -1) return [];
  return Array.from({ length: counts.length - first }, (_, i) => {
    const power = first + i;
    return { from: 2 ** power, to: 2 ** (power + 1), ...(counts[power] ?? { documents: 0, tokens: 0 }) };
  });
}

function firstRows(stream: TokenStream, options: InspectOptions): InspectedToken[][] {
  const { rows = 2, decodeToken = String } = options;
  const T = Math.min(options.sequenceLength ?? 128, stream.tokens - 1);
  if (T < 1) return [];
  const count = Math.min(rows, Math.floor((stream.tokens - 1) / T));
  return Array.from({ length: count }, (_, row) => {
    const batch = readBatch([{ stream, start: row * T }], T, true);
    const begins = (t: number): boolean => stream.documentStart(stream.documentAt(row * T + t)) === row * T + t;
    return Array.from(batch.ids, (id, t) => ({
      id,
      text: decodeToken(id),
      beginsDocument: begins(t),
      trained: batch.targets[t] !== ignoredTarget,
    }));
  });
}

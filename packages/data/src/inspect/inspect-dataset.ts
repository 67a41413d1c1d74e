import { ignoredTarget, readBatch } from "../sampler/batch.ts";
import type { Manifest, SplitEntry } from "../shards/manifest.ts";
import type { Dataset } from "../shards/open-dataset.ts";
import type { TokenStream } from "../shards/token-stream.ts";
import { LengthHistogram, type LengthStatistics } from "./length-histogram.ts";

/** Statistics of one split. */
export interface SplitStatistics extends LengthStatistics {
  readonly shards: number;
  /** Bytes of UTF-8 of the texts. */
  readonly textBytes: number;
  /** Tokens for a byte of text, begin and end tokens included; null without text. */
  readonly tokensPerByte: number | null;
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

function statisticsOf(stream: TokenStream, { shards, textBytes }: SplitEntry): SplitStatistics {
  const { documents, tokens } = stream;
  const histogram = new LengthHistogram();
  for (let document = 0, start = 0; document < documents; document++) {
    const end = stream.documentStart(document + 1);
    histogram.add(end - start);
    start = end;
  }
  return {
    ...histogram.statistics(),
    shards: shards.length,
    textBytes,
    tokensPerByte: textBytes === 0 ? null : tokens / textBytes,
  };
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

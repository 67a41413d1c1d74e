import { checkInteger } from "../data-error.ts";
import type { TokenStream } from "../shards/token-stream.ts";
import { readBatch, type Batch } from "./batch.ts";

/** Settings of {@link sequentialBatches}. */
export interface SequentialOptions {
  /** Tokens in a row, T. */
  readonly sequenceLength: number;
  /** Rows in a batch, B; the last batch may have fewer. */
  readonly rows: number;
  /** Keeps documents apart: see {@link Batch}. On by default. */
  readonly documentMask?: boolean;
  /** Most rows in all; by default as many as the stream has. */
  readonly maxRows?: number;
}

/** Batches of a stream in its own order, for validation: always the same rows. Tokens at the end that fill no row are
 *  left out.
 *  @throws DataError `too-short` where the stream has not one sequence; `bad-option` */
export function* sequentialBatches(stream: TokenStream, options: SequentialOptions): Generator<Batch, void, undefined> {
  const { sequenceLength, rows, documentMask = true, maxRows = Infinity } = options;
  checkInteger("sequenceLength", sequenceLength, 1, 2 ** 24);
  checkInteger("rows", rows, 1, 2 ** 24);
  stream.requireSequence(sequenceLength);
  const count = Math.min(maxRows, Math.floor((stream.tokens - 1) / sequenceLength));
  for (let first = 0; first < count; first += rows) {
    const windows = Array.from({ length: Math.min(rows, count - first) }, (_, i) => ({
      stream,
      start: (first + i) * sequenceLength,
    }));
    yield readBatch(windows, sequenceLength, documentMask);
  }
}

import type { TokenStream } from "../shards/token-stream.ts";

/** Target that takes no part in the loss. */
export const ignoredTarget = -100;

/** Rows of tokens with what training needs to know of them; B rows of T tokens. */
export interface Batch {
  /** Number of rows, B. */
  readonly rows: number;
  /** Tokens in a row, T. */
  readonly sequenceLength: number;
  /** Token ids, `[B, T]`. */
  readonly ids: Int32Array;
  /** The next token of each, `[B, T]`; {@link ignoredTarget} where that begins another document and masks are on. */
  readonly targets: Int32Array;
  /** Index within the row where the document of each token begins, `[B, T]`: attention reaches back no further. Zero
   *  for a document that began in an earlier row, and everywhere when masks are off. */
  readonly documentStart: Int32Array;
  /** Position of each token, `[B, T]`: counted from `documentStart`, or from the row's start when masks are off. */
  readonly positions: Int32Array;
  /** Number of targets that take part in the loss. */
  readonly tokens: number;
}

/** A row of a batch: T + 1 tokens of a stream from `start` on. */
export interface Window {
  readonly stream: TokenStream;
  readonly start: number;
}

/** Reads windows into a batch.
 *  @throws DataError `bad-shard`, `unreadable` */
export function readBatch(windows: readonly Window[], sequenceLength: number, documentMask: boolean): Batch {
  const size = windows.length * sequenceLength;
  const batch = {
    rows: windows.length,
    sequenceLength,
    ids: new Int32Array(size),
    targets: new Int32Array(size),
    documentStart: new Int32Array(size),
    positions: new Int32Array(size),
    tokens: size,
  };
  const window = new Int32Array(sequenceLength + 1);
  windows.forEach(({ stream, start }, row) => {
    const at = row * sequenceLength;
    stream.read(start, sequenceLength + 1, window);
    batch.ids.set(window.subarray(0, sequenceLength), at);
    batch.targets.set(window.subarray(1), at);
    if (documentMask) batch.tokens -= maskDocuments(batch, stream, start, at);
    else for (let t = 0; t < sequenceLength; t++) batch.positions[at + t] = t;
  });
  return batch;
}

/** Fills in document starts and positions of a row and masks targets across documents; returns how many it masked. */
function maskDocuments(batch: Batch, stream: TokenStream, start: number, at: number): number {
  const T = batch.sequenceLength;
  let document = stream.documentAt(start);
  let masked = 0;
  for (let from = 0; from < T; ) {
    document++;
    const next = stream.documentStart(document) - start;
    const to = Math.min(next, T);
    batch.documentStart.fill(from, at + from, at + to);
    for (let t = from; t < to; t++) batch.positions[at + t] = t - from;
    // The last token before a document, whose target is that document's first.
    if (next <= T && document < stream.documents) {
      batch.targets[at + next - 1] = ignoredTarget;
      masked++;
    }
    from = to;
  }
  return masked;
}

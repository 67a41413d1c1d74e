import { readdirSync, renameSync, rmSync } from "node:fs";
import { join } from "node:path";
import { DataError } from "../data-error.ts";
import type { SplitEntry } from "./manifest.ts";
import { Shard } from "./shard.ts";
import type { SplitWriter } from "./split-writer.ts";
import { TokenStream } from "./token-stream.ts";

const copiedTokens = 64 * 1024;

/** Cuts a finished split in two by position: the last `fraction` of its tokens, at least one, goes to `validation`, the
 *  rest to `train`; a document across the cut goes on in the other. The files of the whole are removed.
 *  @param folder holds the shards of `whole` and receives the new ones
 *  @throws DataError `too-short` for fewer than two tokens; `write-failed` */
export function splitTail(
  folder: string,
  whole: SplitEntry,
  fraction: number,
  train: SplitWriter,
  validation: SplitWriter,
): void {
  if (whole.tokens < 2) {
    throw new DataError("too-short", `the corpus has ${whole.tokens} tokens, which cannot be split; give more text`);
  }
  // The new shards may have the names of the old.
  const aside = whole.shards.map((entry) => {
    renameSync(join(folder, entry.file), join(folder, `whole-${entry.file}`));
    return join(folder, `whole-${entry.file}`);
  });
  const shards = aside.map((path) => new Shard(path));
  const stream = new TokenStream("whole", shards, 0);
  try {
    const cut = stream.tokens - Math.min(stream.tokens - 1, Math.max(1, Math.round(stream.tokens * fraction)));
    for (let document = 0; document < stream.documents; document++) {
      const start = stream.documentStart(document);
      const end = stream.documentStart(document + 1);
      const bytes = (from: number, to: number): number => Math.round((whole.textBytes * (to - from)) / stream.tokens);
      if (start < cut) train.add(copy(stream, start, Math.min(end, cut)), bytes(start, Math.min(end, cut)));
      if (end > cut) validation.add(copy(stream, Math.max(start, cut), end), bytes(Math.max(start, cut), end));
    }
  } finally {
    stream.close();
  }
  for (const name of readdirSync(folder)) if (name.startsWith("whole-")) rmSync(join(folder, name));
}

function* copy(stream: TokenStream, start: number, end: number): Generator<Int32Array, void, undefined> {
  const ids = new Int32Array(Math.min(copiedTokens, end - start));
  for (let at = start; at < end; at += ids.length) {
    const count = Math.min(ids.length, end - at);
    stream.read(at, count, ids);
    yield ids.subarray(0, count);
  }
}

import { basename, join } from "node:path";
import type { ShardHeader } from "./header.ts";
import type { ShardEntry, SplitEntry } from "./manifest.ts";
import { ShardWriter } from "./shard-writer.ts";

/** Settings of a {@link SplitWriter}. */
export interface SplitWriterOptions {
  readonly folder: string;
  /** Shards are named `<name>-00000.tokens` and on. */
  readonly name: string;
  readonly vocabularySize: number;
  readonly tokenizerHash: string;
  /** A shard is closed after the document with which it reaches this many tokens. */
  readonly shardTokens: number;
}

/** Writes the documents of a split to as many shards as it takes. */
export class SplitWriter {
  readonly #options: SplitWriterOptions;
  readonly #shards: ShardEntry[] = [];
  #writer: ShardWriter | null = null;
  #tokens = 0;
  #documents = 0;
  #textBytes = 0;

  constructor(options: SplitWriterOptions) {
    this.#options = options;
  }

  /** Tokens written so far. */
  get tokens(): number {
    return this.#tokens;
  }

  /** Appends a document given in parts; one without tokens leaves no trace.
   *  @param textBytes bytes of UTF-8 that its text takes
   *  @throws DataError `bad-token`, `write-failed` */
  add(parts: Iterable<ArrayLike<number>>, textBytes: number): void {
    let begun = false;
    for (const ids of parts) {
      if (ids.length === 0) continue;
      const writer = (this.#writer ??= this.#open());
      if (!begun) writer.beginDocument();
      begun = true;
      writer.write(ids);
      this.#tokens += ids.length;
    }
    if (!begun) return;
    this.#documents++;
    this.#textBytes += textBytes;
    if (this.#writer !== null && this.#writer.tokens >= this.#options.shardTokens) this.#finishShard(this.#writer);
  }

  /** Completes the last shard. */
  finish(): SplitEntry {
    if (this.#writer !== null) this.#finishShard(this.#writer);
    return { tokens: this.#tokens, documents: this.#documents, textBytes: this.#textBytes, shards: [...this.#shards] };
  }

  /** Gives up the shard being written. */
  abort(): void {
    this.#writer?.abort();
  }

  #open(): ShardWriter {
    const { folder, name, vocabularySize, tokenizerHash } = this.#options;
    const number = String(this.#shards.length).padStart(5, "0");
    return new ShardWriter(join(folder, `${name}-${number}.tokens`), vocabularySize, tokenizerHash);
  }

  #finishShard(writer: ShardWriter): void {
    const header: ShardHeader = writer.finish();
    this.#writer = null;
    const { tokens, documents, contentHash } = header;
    this.#shards.push({ file: basename(writer.path), tokens, documents, contentHash });
  }
}

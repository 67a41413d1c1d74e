import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { mkdirSync } from "node:fs";
import { onTestFinished } from "vitest";
import { Shard } from "../src/shards/shard.ts";
import { ShardWriter } from "../src/shards/shard-writer.ts";
import { TokenStream } from "../src/shards/token-stream.ts";
import type { TokenEncoder } from "../src/token-encoder.ts";

/** A folder of its own for one test, with a space and letters outside ASCII in its path. */
export function temporaryFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), "danu data ünï-"));
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

/** Writes a file, and the folders on the way to it. */
export function put(path: string, content: string | Uint8Array): string {
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(path, content);
  return path;
}

/** A tokenizer whose ids are bytes of UTF-8 plus 3; 1 begins, 2 ends. */
export const byteTokenizer: TokenEncoder = {
  encode: (text) => Uint32Array.from(Buffer.from(text, "utf8"), (byte) => byte + 3),
  vocabularySize: 259,
  bosId: 1,
  eosId: 2,
};

export const someHash: string = "ab".repeat(32);

/** A stream of documents given by their tokens, in shards of the given numbers of documents. */
export function streamOf(documents: readonly (readonly number[])[], perShard: number = documents.length): TokenStream {
  const folder = temporaryFolder();
  const shards: Shard[] = [];
  for (let first = 0; first < documents.length; first += perShard) {
    const path = join(folder, `s${first}.tokens`);
    const writer = new ShardWriter(path, 1000, someHash);
    for (const ids of documents.slice(first, first + perShard)) {
      writer.beginDocument();
      writer.write(ids);
    }
    writer.finish();
    shards.push(new Shard(path));
  }
  const stream = new TokenStream("training", shards, 1000);
  onTestFinished(() => stream.close());
  return stream;
}

/** Numbers from 0 up to a limit, as tokens below 1,000. */
export function counting(count: number): number[] {
  return Array.from({ length: count }, (_, i) => i % 1000);
}

/** Real data, outside the repository. */
export const shared: string = resolve(
  dirname(fileURLToPath(import.meta.url)),
  "../../..",
  process.env["DANU_SHARED"] ?? "../shared",
);

/** All of an asynchronous sequence. */
export async function all<T>(items: AsyncIterable<T>): Promise<T[]> {
  const list: T[] = [];
  for await (const item of items) list.push(item);
  return list;
}

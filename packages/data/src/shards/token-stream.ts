import { createHash } from "node:crypto";
import { DataError } from "../data-error.ts";
import type { Shard } from "./shard.ts";

/** The tokens of a split, all shards end to end, as one sequence that can be read at any position. */
export class TokenStream {
  /** Name of the split, for messages. */
  readonly name: string;
  readonly tokens: number;
  readonly documents: number;
  readonly vocabularySize: number;
  /** SHA-256 over the content hashes of the shards, 64 hexadecimal digits: equal where the tokens are equal. */
  readonly contentHash: string;
  readonly #shards: readonly Shard[];
  readonly #firstToken: Float64Array;
  readonly #firstDocument: Float64Array;

  constructor(name: string, shards: readonly Shard[], vocabularySize: number) {
    this.name = name;
    this.#shards = shards;
    this.vocabularySize = vocabularySize;
    this.#firstToken = runningSum(shards.map((shard) => shard.header.tokens));
    this.#firstDocument = runningSum(shards.map((shard) => shard.header.documents));
    this.tokens = this.#firstToken[shards.length] ?? 0;
    this.documents = this.#firstDocument[shards.length] ?? 0;
    const hash = createHash("sha256");
    for (const shard of shards) hash.update(shard.header.contentHash, "hex");
    this.contentHash = hash.digest("hex");
  }

  /** Copies `count` tokens from `position` on into an array.
   *  @throws RangeError past the end; DataError `bad-shard`, `unreadable` */
  read(position: number, count: number, into: Int32Array, offset: number = 0): void {
    if (position < 0 || position + count > this.tokens) {
      throw new RangeError(`tokens ${position} to ${position + count} of ${this.tokens}`);
    }
    let s = lastAtOrBelow(this.#firstToken, position);
    for (let done = 0; done < count; s++) {
      const shard = this.#shardAt(s);
      const at = position + done - (this.#firstToken[s] ?? 0);
      const taken = Math.min(count - done, shard.header.tokens - at);
      shard.read(at, taken, into, offset + done);
      done += taken;
    }
  }

  /** Position of the first token of a document; the number of tokens, for the number of documents. */
  documentStart(document: number): number {
    if (document >= this.documents) return this.tokens;
    const s = lastAtOrBelow(this.#firstDocument, document);
    const starts = this.#shardAt(s).documentStarts;
    return (this.#firstToken[s] ?? 0) + (starts[document - (this.#firstDocument[s] ?? 0)] ?? 0);
  }

  /** The document that holds the token at a position. */
  documentAt(position: number): number {
    const s = lastAtOrBelow(this.#firstToken, position);
    const starts = this.#shardAt(s).documentStarts;
    return (this.#firstDocument[s] ?? 0) + lastAtOrBelow(starts, position - (this.#firstToken[s] ?? 0));
  }

  /** Checks that the stream holds at least one sequence and the token after it.
   *  @throws DataError `too-short` */
  requireSequence(sequenceLength: number): void {
    if (this.tokens > sequenceLength) return;
    throw new DataError(
      "too-short",
      `the ${this.name} split has ${this.tokens} tokens, a sequence of ${sequenceLength} needs ` +
        `${sequenceLength + 1}; give more text or a shorter sequence length`,
      { split: this.name, tokens: this.tokens, sequenceLength },
    );
  }

  close(): void {
    for (const shard of this.#shards) shard.close();
  }

  #shardAt(s: number): Shard {
    const shard = this.#shards[s];
    if (shard === undefined) throw new RangeError(`shard ${s} of ${this.#shards.length}`);
    return shard;
  }
}

function runningSum(values: readonly number[]): Float64Array {
  const sums = new Float64Array(values.length + 1);
  values.forEach((value, i) => (sums[i + 1] = (sums[i] ?? 0) + value));
  return sums;
}

/** Index of the last entry of an increasing array that is not above a value. */
function lastAtOrBelow(sorted: Float64Array | Uint32Array, value: number): number {
  let low = 0;
  let high = sorted.length - 1;
  while (low < high) {
    const middle = (low + high + 1) >>> 1;
    if ((sorted[middle] ?? 0) <= value) low = middle;
    else high = middle - 1;
  }
  return low;
}

import { createHash } from "node:crypto";
import { closeSync, fsyncSync, openSync, renameSync, rmSync, writeSync } from "node:fs";
import { asDataError, DataError } from "../data-error.ts";
import { documentsOffset, encodeHeader, headerBytes, maxShardTokens, tokenBytesFor } from "./header.ts";
import type { ShardHeader } from "./header.ts";

const chunkTokens = 256 * 1024;

/** Writes one token shard: to a file beside it, synced, and renamed when finished. */
export class ShardWriter {
  readonly path: string;
  readonly #partial: string;
  readonly #vocabularySize: number;
  readonly #tokenizerHash: string;
  readonly #chunk: Uint16Array | Uint32Array;
  readonly #hash: ReturnType<typeof createHash> = createHash("sha256");
  readonly #starts: number[] = [];
  #file: number;
  #filled = 0;
  #flushed = 0;
  #at = headerBytes;

  /** @throws DataError `write-failed` */
  constructor(path: string, vocabularySize: number, tokenizerHash: string) {
    this.path = path;
    this.#partial = `${path}.partial`;
    this.#vocabularySize = vocabularySize;
    this.#tokenizerHash = tokenizerHash;
    const tokenArray = tokenBytesFor(vocabularySize) === 2 ? Uint16Array : Uint32Array;
    this.#chunk = new tokenArray(chunkTokens);
    this.#file = this.#try(() => openSync(this.#partial, "w"));
  }

  /** Tokens written so far. */
  get tokens(): number {
    return this.#flushed + this.#filled;
  }

  /** Marks that the next token begins a document. */
  beginDocument(): void {
    if (this.#starts.at(-1) !== this.tokens) this.#starts.push(this.tokens);
  }

  /** Appends tokens to the document begun last.
   *  @throws DataError `bad-token` for an id that the vocabulary does not have; `write-failed` */
  write(ids: ArrayLike<number>): void {
    if (this.tokens + ids.length > maxShardTokens) {
      throw new DataError("document-too-long", `${this.path}: a shard holds at most ${maxShardTokens} tokens`);
    }
    for (let i = 0; i < ids.length; i++) {
      const id = ids[i] ?? -1;
      if (!(id >= 0 && id < this.#vocabularySize && Number.isInteger(id))) throw this.#badToken(id);
      this.#chunk[this.#filled++] = id;
      if (this.#filled === chunkTokens) this.#flush();
    }
  }

  /** Completes the file and puts it in its place.
   *  @throws DataError `write-failed` */
  finish(): ShardHeader {
    this.#flush();
    const shape = { tokenBytes: tokenBytesFor(this.#vocabularySize), tokens: this.tokens };
    this.#append(Buffer.alloc(documentsOffset(shape) - this.#at));
    this.#append(Buffer.from(Uint32Array.from(this.#starts).buffer));
    const header: ShardHeader = {
      ...shape,
      documents: this.#starts.length,
      vocabularySize: this.#vocabularySize,
      tokenizerHash: this.#tokenizerHash,
      contentHash: this.#hash.digest("hex"),
    };
    this.#try(() => {
      writeAll(this.#file, encodeHeader(header), 0);
      fsyncSync(this.#file);
      this.#close();
      renameSync(this.#partial, this.path);
    });
    return header;
  }

  /** Gives up and removes what was written. */
  abort(): void {
    this.#close();
    rmSync(this.#partial, { force: true });
  }

  #flush(): void {
    const { buffer, byteOffset, BYTES_PER_ELEMENT } = this.#chunk;
    this.#append(Buffer.from(buffer, byteOffset, this.#filled * BYTES_PER_ELEMENT));
    this.#flushed += this.#filled;
    this.#filled = 0;
  }

  #append(bytes: Buffer): void {
    this.#hash.update(bytes);
    this.#try(() => writeAll(this.#file, bytes, this.#at));
    this.#at += bytes.length;
  }

  #close(): void {
    if (this.#file < 0) return;
    const file = this.#file;
    this.#file = -1;
    closeSync(file);
  }

  #badToken(id: number): DataError {
    return new DataError(
      "bad-token",
      `the tokenizer gave id ${id}, expected an integer from 0 to ${this.#vocabularySize - 1}`,
      { id, vocabularySize: this.#vocabularySize },
    );
  }

  #try<R>(action: () => R): R {
    try {
      return action();
    } catch (error) {
      throw asDataError(error, "write-failed", "cannot be written", this.path);
    }
  }
}

/** Writes all bytes at a position; one call to the system may take fewer. */
function writeAll(file: number, bytes: Buffer, position: number): void {
  for (let done = 0; done < bytes.length; ) {
    done += writeSync(file, bytes, done, bytes.length - done, position + done);
  }
}

import { createHash } from "node:crypto";
import { closeSync, fstatSync, openSync, readSync } from "node:fs";
import { asDataError, DataError } from "../data-error.ts";
import { bad, documentsOffset, headerBytes, parseHeader, type ShardHeader } from "./header.ts";

const verifyBytes = 4 * 1024 * 1024;

/** A token shard open for reading at any position. Tokens stay on disk and are read when asked for, so that memory does
 *  not grow with the data and the operating system's page cache serves what is read often; only the document starts are
 *  held, 4 bytes a document. */
export class Shard {
  readonly path: string;
  readonly header: ShardHeader;
  /** Position of the first token of each document, `[documents]`, increasing from 0. */
  readonly documentStarts: Uint32Array;
  #file: number;
  #scratch: Buffer = Buffer.alloc(0);

  /** Opens a shard and checks that header, file size and document starts fit together.
   *  @param verify also checks the content hash and that every id is in the vocabulary, reading the whole file
   *  @throws DataError `bad-shard`, `hash-mismatch`, `not-found`, `unreadable` */
  constructor(path: string, verify: boolean = false) {
    this.path = path;
    this.#file = this.#try(() => openSync(path, "r"));
    try {
      const bytes = Buffer.alloc(headerBytes);
      const read = this.#readSome(bytes, 0);
      this.header = parseHeader(bytes.subarray(0, read), this.#try(() => fstatSync(this.#file).size), path);
      this.documentStarts = this.#readDocumentStarts();
      if (verify) this.#verify();
    } catch (error) {
      this.close();
      throw error;
    }
  }

  /** Copies tokens into an array.
   *  @param position of the first, in this shard
   *  @throws DataError `bad-shard` if the file has shrunk since it was opened; `unreadable` */
  read(position: number, count: number, into: Int32Array, offset: number): void {
    const { tokenBytes } = this.header;
    const bytes = this.#scratchOf(count * tokenBytes);
    this.#readExactly(bytes, headerBytes + position * tokenBytes);
    const tokens = asTokens(bytes, tokenBytes);
    for (let i = 0; i < count; i++) into[offset + i] = tokens[i] ?? 0;
  }

  close(): void {
    if (this.#file < 0) return;
    const file = this.#file;
    this.#file = -1;
    closeSync(file);
  }

  #readDocumentStarts(): Uint32Array {
    const { documents, tokens } = this.header;
    const starts = new Uint32Array(documents);
    this.#readExactly(Buffer.from(starts.buffer), documentsOffset(this.header));
    let before = -1;
    for (const start of starts) {
      if (start <= before || start >= tokens || (before === -1 && start !== 0)) {
        throw bad(this.path, `a document starts at ${start} after ${before}, of ${tokens} tokens`);
      }
      before = start;
    }
    return starts;
  }

  #verify(): void {
    const { tokenBytes, tokens, vocabularySize, contentHash } = this.header;
    const hash = createHash("sha256");
    const end = documentsOffset(this.header) + this.header.documents * 4;
    const tokensEnd = headerBytes + tokens * tokenBytes;
    for (let at = headerBytes; at < end; at += verifyBytes) {
      const bytes = this.#scratchOf(Math.min(verifyBytes, end - at));
      this.#readExactly(bytes, at);
      hash.update(bytes);
      const ids = asTokens(bytes.subarray(0, Math.max(0, tokensEnd - at)), tokenBytes);
      for (const id of ids) {
        if (id >= vocabularySize) throw bad(this.path, `it holds id ${id}, the vocabulary has ${vocabularySize}`);
      }
    }
    if (hash.digest("hex") === contentHash) return;
    const message = `${this.path}: the content hash differs, the file is damaged; prepare the data again`;
    throw new DataError("hash-mismatch", message, { path: this.path });
  }

  #scratchOf(bytes: number): Buffer {
    if (this.#scratch.length < bytes) this.#scratch = Buffer.from(new ArrayBuffer(Math.max(bytes, 4096)));
    return this.#scratch.subarray(0, bytes);
  }

  #readExactly(bytes: Buffer, position: number): void {
    const read = this.#readSome(bytes, position);
    if (read < bytes.length) throw bad(this.path, `it ends ${bytes.length - read} bytes early`);
  }

  #readSome(bytes: Buffer, position: number): number {
    let done = 0;
    while (done < bytes.length) {
      const read = this.#try(() => readSync(this.#file, bytes, done, bytes.length - done, position + done));
      if (read === 0) break;
      done += read;
    }
    return done;
  }

  #try<R>(action: () => R): R {
    try {
      return action();
    } catch (error) {
      throw asDataError(error, "unreadable", "cannot be read", this.path);
    }
  }
}

function asTokens(bytes: Buffer, tokenBytes: 2 | 4): Uint16Array | Uint32Array {
  const count = Math.floor(bytes.length / tokenBytes);
  return tokenBytes === 2
    ? new Uint16Array(bytes.buffer, bytes.byteOffset, count)
    : new Uint32Array(bytes.buffer, bytes.byteOffset, count);
}

import { createHash } from "node:crypto";
import { DataError } from "../data-error.ts";

/** What a token shard says about itself. */
export interface ShardHeader {
  /** Bytes of one token: 2 (u16) where the vocabulary has at most 65,536 ids, else 4 (u32). */
  readonly tokenBytes: 2 | 4;
  readonly tokens: number;
  readonly documents: number;
  readonly vocabularySize: number;
  /** SHA-256 of the tokenizer file, 64 hexadecimal digits. */
  readonly tokenizerHash: string;
  /** SHA-256 of all bytes after the header, 64 hexadecimal digits. */
  readonly contentHash: string;
}

/** Bytes of the header; the tokens follow it. */
export const headerBytes = 128;
/** Most tokens in one shard, so that document starts fit in u32. */
export const maxShardTokens: number = 2 ** 32 - 1;

const magic = "DANUTOK1";
const version = 1;
const sealed = 104;

/** Bytes of one token for a vocabulary. */
export function tokenBytesFor(vocabularySize: number): 2 | 4 {
  return vocabularySize <= 65536 ? 2 : 4;
}

/** Where the document starts begin in the file: after the tokens, on a multiple of 4 bytes. */
export function documentsOffset(header: Pick<ShardHeader, "tokenBytes" | "tokens">): number {
  return Math.ceil((headerBytes + header.tokens * header.tokenBytes) / 4) * 4;
}

/** Bytes of a whole shard file. */
function shardBytes(header: Pick<ShardHeader, "tokenBytes" | "tokens" | "documents">): number {
  return documentsOffset(header) + header.documents * 4;
}

/** The header as 128 bytes, little-endian: magic (8 bytes), version u32, token bytes u32, tokens u64, documents u64,
 *  vocabulary size u32, zero u32, tokenizer hash (32 bytes), content hash (32 bytes), and the first 24 bytes of the
 *  SHA-256 of all that. */
export function encodeHeader(header: ShardHeader): Buffer {
  const bytes = Buffer.alloc(headerBytes);
  bytes.write(magic, 0, "latin1");
  bytes.writeUInt32LE(version, 8);
  bytes.writeUInt32LE(header.tokenBytes, 12);
  bytes.writeBigUInt64LE(BigInt(header.tokens), 16);
  bytes.writeBigUInt64LE(BigInt(header.documents), 24);
  bytes.writeUInt32LE(header.vocabularySize, 32);
  bytes.write(header.tokenizerHash, 40, "hex");
  bytes.write(header.contentHash, 72, "hex");
  seal(bytes).copy(bytes, sealed);
  return bytes;
}

/** Reads a header and holds it against the size of its file.
 *  @throws DataError `bad-shard` where the two do not fit, or the header is not one */
export function parseHeader(bytes: Buffer, fileBytes: number, path: string): ShardHeader {
  if (bytes.length < headerBytes) throw bad(path, `it has ${bytes.length} bytes, a header alone has ${headerBytes}`);
  if (bytes.toString("latin1", 0, 8) !== magic) throw bad(path, `it does not begin with ${magic}`);
  const found = bytes.readUInt32LE(8);
  if (found !== version) throw bad(path, `its version is ${found}, this program reads version ${version}`);
  if (!seal(bytes).equals(bytes.subarray(sealed, headerBytes))) throw bad(path, "its header is damaged");
  const header = readFields(bytes);
  const { tokens, documents, vocabularySize, tokenBytes } = header;
  if (vocabularySize < 1 || tokenBytes !== tokenBytesFor(vocabularySize)) {
    throw bad(path, `its header says ${vocabularySize} ids in ${tokenBytes} bytes each`);
  }
  if (tokens > maxShardTokens || documents > tokens || (documents === 0 && tokens > 0)) {
    throw bad(path, `its header says ${tokens} tokens in ${documents} documents`);
  }
  if (shardBytes(header) !== fileBytes) {
    throw bad(path, `its header says ${shardBytes(header)} bytes, the file has ${fileBytes}; it may be cut short`);
  }
  return header;
}

function readFields(bytes: Buffer): ShardHeader {
  return {
    tokenBytes: bytes.readUInt32LE(12) as 2 | 4,
    tokens: Number(bytes.readBigUInt64LE(16)),
    documents: Number(bytes.readBigUInt64LE(24)),
    vocabularySize: bytes.readUInt32LE(32),
    tokenizerHash: bytes.toString("hex", 40, 72),
    contentHash: bytes.toString("hex", 72, 104),
  };
}

function seal(bytes: Buffer): Buffer {
  return createHash("sha256").update(bytes.subarray(0, sealed)).digest().subarray(0, headerBytes - sealed);
}

/** A {@link DataError} that names the shard and what is wrong with it. */
export function bad(path: string, reason: string): DataError {
  const message = `${path}: not a whole token shard: ${reason}; prepare the data again`;
  return new DataError("bad-shard", message, { path, reason });
}

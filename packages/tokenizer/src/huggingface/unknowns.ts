import { TokenizerError } from "../errors.ts";
import type { MergeList } from "./merge-reader.ts";
import type { Pieces } from "./pieces.ts";

/** What becomes of characters without a piece: their bytes' pieces where all have one, else the unknown piece, else
 *  nothing, so that the characters around them become neighbours. */
export interface Unknowns {
  /** `[256]` id of each byte's piece, −1 for none. */
  readonly byteIds: Int32Array;
  /** Whether every character has bytes with pieces. */
  readonly hasAllBytes: boolean;
  /** Id of the unknown piece, or −1. */
  readonly unkId: number;
  /** Whether a run of unknown characters is one piece. */
  readonly fuses: boolean;
}

/** The options of a model that concern unknown characters. */
export interface UnknownOptions {
  readonly byteFallback: boolean;
  readonly fuseUnk: boolean;
  readonly unkToken: string | undefined;
}

/** Finds out what the model does with characters it has no piece for.
 *  @throws TokenizerError `malformed-model`, or `unsupported-model` for merges of such pieces */
export function unknownsOf(options: UnknownOptions, pieces: Pieces, merges: MergeList): Unknowns {
  const { byteFallback, unkToken } = options;
  const byteIds = Int32Array.from({ length: 256 }, (_, byte) => (byteFallback ? pieces.idOf(byteName(byte)) : -1));
  requireNoMerges(byteIds, pieces.table.size, merges, "of byte pieces");
  const hasAllBytes = byteIds.every((id, byte) => id >= 0 || !occursInUtf8(byte));
  const unkId = hasAllBytes || unkToken === undefined ? -1 : pieces.idOf(unkToken);
  if (unkId < 0 && !hasAllBytes && unkToken !== undefined) {
    const message = `tokenizer.json: expected the unk_token "${unkToken}" in the vocabulary, got none: add it`;
    throw new TokenizerError("malformed-model", message, { unkToken });
  }
  if (unkId >= 0) requireNoMerges([unkId], pieces.table.size, merges, "of the unk_token");
  return { byteIds, hasAllBytes, unkId, fuses: options.fuseUnk };
}

/** Whether UTF-8 has the byte. */
export function occursInUtf8(byte: number): boolean {
  return byte < 0xc0 || (byte > 0xc1 && byte < 0xf5);
}

/** Unknown characters get their pieces after the merges here, and before them in the original. */
function requireNoMerges(ids: Iterable<number>, size: number, { lefts, rights }: MergeList, which: string): void {
  const isUsed = new Uint8Array(size);
  for (const id of lefts) isUsed[id] = 1;
  for (const id of rights) isUsed[id] = 1;
  for (const id of ids) {
    if (isUsed[id] !== 1) continue;
    const message = `tokenizer.json: expected no merges ${which}, got one of id ${id}`;
    throw new TokenizerError("unsupported-model", message, { id });
  }
}

function byteName(byte: number): string {
  return `<0x${byte.toString(16).toUpperCase().padStart(2, "0")}>`;
}

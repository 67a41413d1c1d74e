import { SPACE, UNMATCHED_SPACE } from "../bpe/characters.ts";
import type { Surfaces } from "../decode/decoder.ts";
import type { AddedToken } from "../text/added-tokens.ts";
import { Kind, type SentencePieceModel } from "./model.ts";
import type { Vocabulary } from "./vocabulary.ts";

/** The bytes that each id of a SentencePiece model decodes to. @param beyond tokens with ids after the pieces */
export function surfacesOf(
  model: SentencePieceModel,
  vocabulary: Vocabulary,
  beyond: readonly AddedToken[],
): Surfaces {
  const { table, kinds, size } = vocabulary;
  const blobEnd = table.offsets[size]!;
  const unknown = utf8.encode(model.trainer.unkSurface);
  const added = beyond.map((token) => ({ token, spelling: utf8.encode(token.content) }));
  const unknownEnd = blobEnd + 256 + unknown.length;
  const bytes = new Uint8Array(added.reduce((sum, { spelling }) => sum + spelling.length, unknownEnd));
  bytes.set(table.blob.subarray(0, blobEnd));
  for (let i = 0; i < blobEnd; i++) if (bytes[i] === UNMATCHED_SPACE) bytes[i] = SPACE;
  for (let byte = 0; byte < 256; byte++) bytes[blobEnd + byte] = byte;
  bytes.set(unknown, blobEnd + 256);
  const all = size + beyond.length;
  const spelledRanges = new Uint32Array(all * 2);
  const startsWithSpace = new Uint8Array(all);
  for (let id = 0; id < size; id++) {
    spelledRanges[2 * id] = table.offsets[id]!;
    spelledRanges[2 * id + 1] = table.offsets[id + 1]!;
  }
  vocabulary.byteIds.forEach((id, byte) => {
    if (kinds[id] !== Kind.byte) return;
    spelledRanges[2 * id] = blobEnd + byte;
    spelledRanges[2 * id + 1] = blobEnd + byte + 1;
  });
  let at = unknownEnd;
  added.forEach(({ spelling }, i) => {
    bytes.set(spelling, at);
    spelledRanges[2 * (size + i)] = at;
    spelledRanges[2 * (size + i) + 1] = at += spelling.length;
  });
  const ranges = spelledRanges.slice();
  for (let id = 0; id < size; id++) {
    const kind = kinds[id]!;
    if (kind === Kind.normal || kind === Kind.userDefined) {
      startsWithSpace[id] = table.blob[table.offsets[id]!] === SPACE ? 1 : 0;
    } else if (kind === Kind.control) {
      ranges[2 * id + 1] = ranges[2 * id]!;
    } else if (kind === Kind.unknown) {
      ranges[2 * id] = blobEnd + 256;
      ranges[2 * id + 1] = unknownEnd;
    }
  }
  added.forEach(({ token }, i) => {
    if (token.special) ranges[2 * (size + i) + 1] = ranges[2 * (size + i)]!;
  });
  return { bytes, startsWithSpace, ranges, spelledRanges };
}

const utf8 = new TextEncoder();

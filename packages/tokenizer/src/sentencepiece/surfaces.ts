import type { Surfaces } from "../decode/decoder.ts";
import { Kind, type SentencePieceModel } from "./model.ts";
import { SPACE, UNMATCHED_SPACE, type Vocabulary } from "./vocabulary.ts";

/** The bytes that each piece of a SentencePiece model decodes to. */
export class SurfaceTable implements Surfaces {
  readonly bytes: Uint8Array;
  /** `[2 V]` start and end in `bytes` of each id, special pieces left out as sentencepiece does. */
  readonly ranges: Uint32Array;
  readonly #spelledRanges: Uint32Array;
  readonly isByte: Uint8Array;
  readonly startsWithSpace: Uint8Array;

  constructor(model: SentencePieceModel, vocabulary: Vocabulary) {
    const { table, kinds, size } = vocabulary;
    const blobEnd = table.offsets[size]!;
    const unknown = new TextEncoder().encode(model.trainer.unkSurface);
    this.bytes = new Uint8Array(blobEnd + 256 + unknown.length);
    this.bytes.set(table.blob.subarray(0, blobEnd));
    for (let i = 0; i < blobEnd; i++) if (this.bytes[i] === UNMATCHED_SPACE) this.bytes[i] = SPACE;
    for (let byte = 0; byte < 256; byte++) this.bytes[blobEnd + byte] = byte;
    this.bytes.set(unknown, blobEnd + 256);
    this.ranges = new Uint32Array(size * 2);
    this.isByte = new Uint8Array(size);
    this.startsWithSpace = new Uint8Array(size);
    for (let id = 0; id < size; id++) {
      this.ranges[2 * id] = table.offsets[id]!;
      this.ranges[2 * id + 1] = table.offsets[id + 1]!;
    }
    this.#spelledRanges = this.ranges.slice();
    for (let id = 0; id < size; id++) {
      const kind = kinds[id]!;
      if (kind === Kind.normal || kind === Kind.userDefined) {
        this.startsWithSpace[id] = table.blob[table.offsets[id]!] === SPACE ? 1 : 0;
      } else if (kind === Kind.control) {
        this.ranges[2 * id + 1] = this.ranges[2 * id]!;
      } else if (kind === Kind.unknown) {
        this.ranges[2 * id] = blobEnd + 256;
        this.ranges[2 * id + 1] = this.bytes.length;
      }
    }
    vocabulary.byteIds.forEach((id, byte) => {
      if (kinds[id] !== Kind.byte) return;
      this.isByte[id] = 1;
      for (const ranges of [this.ranges, this.#spelledRanges]) {
        ranges[2 * id] = blobEnd + byte;
        ranges[2 * id + 1] = blobEnd + byte + 1;
      }
    });
  }

  rangesFor(skipSpecial: boolean): Uint32Array {
    return skipSpecial ? this.ranges : this.#spelledRanges;
  }
}

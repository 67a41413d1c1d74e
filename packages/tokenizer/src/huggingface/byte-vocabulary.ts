import type { BpeModel, Cuts } from "../bpe/encoder.ts";
import type { IdBuffer } from "../bpe/id-buffer.ts";
import { PairMerges } from "../bpe/pair-merges.ts";
import { TokenizerError } from "../errors.ts";
import type { PreTokenizer } from "../pretokenize/pretokenizer.ts";
import { wholeStretches, type WordOptions } from "./character-vocabulary.ts";
import { joinsOf } from "./joins.ts";
import type { MergeList } from "./merge-reader.ts";
import type { Pieces } from "./pieces.ts";
import { occursInUtf8, type Unknowns, unknownsOf } from "./unknowns.ts";

/** A vocabulary whose symbols are bytes, as in GPT-2, Llama 3 and Qwen. */
export class ByteVocabulary implements BpeModel {
  readonly merges: PairMerges;
  readonly cuts: Cuts;
  readonly #pieces: Pieces;
  readonly #unknowns: Unknowns;
  readonly #ignoresMerges: boolean;
  /** `[256]` symbol of each byte, −1 for none. */
  readonly #symbols: Int32Array;

  /** @param words where words end; undefined where whole stretches of text are words */
  constructor(pieces: Pieces, list: MergeList, options: WordOptions, words: PreTokenizer | undefined) {
    this.#pieces = pieces;
    this.#ignoresMerges = options.ignoreMerges;
    this.#symbols = Int32Array.from({ length: 256 }, (_, byte) => pieces.table.find(Uint8Array.of(byte), 0, 1));
    const isUnknown = (byte: number): boolean => this.#symbols[byte]! < 0 && occursInUtf8(byte);
    const isComplete = !Array.from({ length: 256 }, (_, byte) => isUnknown(byte)).includes(true);
    if (options.byteFallback && !isComplete) {
      const message = "tokenizer.json: expected a piece for every byte of a ByteLevel model, got byte_fallback instead";
      throw new TokenizerError("unsupported-model", message);
    }
    this.#unknowns = unknownsOf({ ...options, unkToken: isComplete ? undefined : options.unkToken }, pieces, list);
    this.merges = new PairMerges(list.lefts, list.rights, list.products);
    if (words !== undefined) this.cuts = words;
    else if (options.ignoreMerges) this.cuts = wholeStretches;
    else this.cuts = { joins: joinsOf(pieces.table, list, { ...this.#unknowns, hasAllBytes: isComplete }, isUnknown) };
  }

  split(bytes: Uint8Array, start: number, end: number, ids: Int32Array, starts: Int32Array): number {
    const symbols = this.#symbols;
    const { unkId, fuses } = this.#unknowns;
    let count = 0;
    for (let at = start; at < end; at++) {
      const symbol = symbols[bytes[at]!]!;
      if (symbol < 0 && (unkId < 0 || (fuses && count > 0 && ids[count - 1]! < 0))) continue;
      ids[count] = symbol;
      starts[count++] = at;
    }
    return count;
  }

  emit(symbol: number, _bytes: Uint8Array, _start: number, out: IdBuffer): void {
    out.push(symbol >= 0 ? symbol : this.#unknowns.unkId);
  }

  wordId(bytes: Uint8Array, start: number, end: number): number {
    return this.#ignoresMerges ? this.#pieces.table.find(bytes, start, end) : -1;
  }
}

import type { StreamDecoder } from "./decode/stream.ts";

/** Choices of one `encode` call; all are off by default. */
export interface EncodeOptions {
  /** Puts the beginning-of-sequence id first. */
  readonly addBos?: boolean;
  /** Puts the end-of-sequence id last. */
  readonly addEos?: boolean;
  /** Reads `<s>` and other control pieces in the text as those pieces; otherwise they are ordinary text. */
  readonly parseSpecial?: boolean;
}

/** Choices of one `decode` call. */
export interface DecodeOptions {
  /** Leaves control pieces out, as sentencepiece does; `false` writes their names. Default `true`. */
  readonly skipSpecial?: boolean;
}

/** Text to ids and back, whatever file the vocabulary came from. */
export interface Tokenizer {
  /** Every piece by id, as the file spells it (`▁` stands for a space). */
  readonly pieces: readonly string[];
  /** Number of pieces; ids are `0 … vocabularySize − 1`. */
  readonly vocabularySize: number;
  /** Id of the beginning-of-sequence piece, or −1 where the model has none. */
  readonly bosId: number;
  /** Id of the end-of-sequence piece, or −1. */
  readonly eosId: number;
  /** Id of the unknown piece. */
  readonly unkId: number;
  /** Id of the padding piece, or −1. */
  readonly padId: number;

  /** Id of the piece spelled so in the file, or −1. */
  idOf(piece: string): number;

  /** Token ids of a text. A lone surrogate is read as U+FFFD.
   *  @returns `[T]`, the same type as an i32 tensor's data
   *  @throws TokenizerError `missing-special-token` if BOS or EOS is asked of a model without it */
  encode(text: string, options?: EncodeOptions): Int32Array;

  /** The text of ids; bytes that are not UTF-8 become U+FFFD, one per maximal subpart (Unicode 15, §3.9).
   *  @param ids `[T]`
   *  @throws TokenizerError `id-out-of-range` */
  decode(ids: ArrayLike<number>, options?: DecodeOptions): string;

  /** Decoder for ids that arrive one by one: its pieces joined are equal to `decode` of all the ids. */
  streamDecoder(options?: DecodeOptions): StreamDecoder;
}

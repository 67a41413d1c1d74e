import type { StreamDecoder } from "./decode/stream.ts";
import type { TextRange } from "./text/added-tokens.ts";

/** Choices of one `encode` call. */
export interface EncodeOptions {
  /** Puts the beginning-of-sequence id first. Default `false`; `addsBos` tells what the files ask for. */
  readonly addBos?: boolean;
  /** Puts the end-of-sequence id last. Default `false`. */
  readonly addEos?: boolean;
  /** Reads `<s>` and other special tokens in the text as those tokens; otherwise they are ordinary text. Default
   *  `false`. */
  readonly parseSpecial?: boolean;
  /** Ranges of the text, in code units and ascending order, in which `parseSpecial` finds nothing: what users typed. */
  readonly plainRanges?: readonly TextRange[];
  /** `false` leaves out the space that many models put before a text, for a text that continues another. Default
   *  `true`: as the model says. */
  readonly addPrefixSpace?: boolean;
  /** Longest text taken, in code units. Default: no limit. */
  readonly maxLength?: number;
}

/** Choices of one `decode` call. */
export interface DecodeOptions {
  /** Leaves special tokens out; `false` writes their names. Default `true`. */
  readonly skipSpecial?: boolean;
}

/** Units that offsets count in: code units of a JavaScript string, or bytes of UTF-8. */
export type OffsetUnit = "utf16" | "utf8";

/** Ids and where in the text they came from. */
export interface Encoding {
  /** `[T]` */
  readonly ids: Int32Array;
  /** `[T]` start of each id's part of the text; ids that no text gave, as BOS, have an empty range. */
  readonly starts: Int32Array;
  /** `[T]` end of each id's part. */
  readonly ends: Int32Array;
}

/** Text to ids and back, whatever file the vocabulary came from. */
export interface Tokenizer {
  /** Every piece by id, as the file spells it (`▁` or `Ġ` stands for a space); added tokens at the end. */
  readonly pieces: readonly string[];
  /** Number of pieces; ids are `0 … vocabularySize − 1`. */
  readonly vocabularySize: number;
  /** Id of the beginning-of-sequence piece, or −1 where the model has none. */
  readonly bosId: number;
  /** Id of the end-of-sequence piece, or −1. */
  readonly eosId: number;
  /** Id of the unknown piece, or −1. */
  readonly unkId: number;
  /** Id of the padding piece, or −1. */
  readonly padId: number;
  /** Whether the files ask for BOS before every text. */
  readonly addsBos: boolean;
  /** Whether the files ask for EOS after every text. */
  readonly addsEos: boolean;

  /** The chat template of tokenizer_config.json, in Jinja, where there is one. */
  readonly chatTemplate: string | undefined;

  /** Id of the piece spelled so in the file, or −1. */
  idOf(piece: string): number;

  /** Whether an id is a special token: found in text only where asked for, and left out by `decode`. */
  isSpecial(id: number): boolean;

  /** Token ids of a text. A lone surrogate is read as U+FFFD.
   *  @returns `[T]`, the same type as an i32 tensor's data
   *  @throws TokenizerError `missing-special-token` if BOS or EOS is asked of a model without it, `text-too-long` */
  encode(text: string, options?: EncodeOptions): Int32Array;

  /** The same, and where in the text each id came from. The ranges follow one another; those of ids that share a
   *  character overlap in code units and follow one another in bytes.
   *  @throws TokenizerError as `encode` */
  encodeWithOffsets(text: string, options?: EncodeOptions & { readonly unit?: OffsetUnit }): Encoding;

  /** The text of ids; bytes that are not UTF-8 become U+FFFD, one per maximal subpart (Unicode 15, §3.9).
   *  @param ids `[T]`
   *  @throws TokenizerError `id-out-of-range` */
  decode(ids: ArrayLike<number>, options?: DecodeOptions): string;

  /** Decoder for ids that arrive one by one: its pieces joined are equal to `decode` of all the ids. */
  streamDecoder(options?: DecodeOptions): StreamDecoder;
}

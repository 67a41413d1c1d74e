/** A part of a text, in code units. */
export interface ChatRange {
  readonly start: number;
  readonly end: number;
}

/** Choices of one `encodeWithOffsets` call. */
export interface ChatEncodeOptions {
  /** Puts the beginning-of-sequence id first. */
  readonly addBos?: boolean;
  /** Reads special tokens in the text as those tokens. */
  readonly parseSpecial?: boolean;
  /** Ranges, ascending, in which `parseSpecial` finds nothing. */
  readonly plainRanges?: readonly ChatRange[];
  /** `false` leaves out the space that many models put before a text. */
  readonly addPrefixSpace?: boolean;
}

/** Ids, and the part of the text that each came from. */
export interface ChatEncoding {
  /** `[T]` */
  readonly ids: Int32Array;
  /** `[T]` */
  readonly starts: Int32Array;
  /** `[T]` */
  readonly ends: Int32Array;
}

/** What chats need of a tokenizer; `Tokenizer` of `@danu/tokenizer` is one. */
export interface ChatTokenizer {
  /** Id that begins a sequence; negative where there is none. */
  readonly bosId: number;
  /** Whether an id is a special token, which text stands for only where asked. */
  isSpecial(id: number): boolean;
  /** Ids of a text, and where in it they came from. */
  encodeWithOffsets(text: string, options?: ChatEncodeOptions): ChatEncoding;
}

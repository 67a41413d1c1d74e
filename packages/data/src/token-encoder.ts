/** What this package needs of a tokenizer; `Tokenizer` of `@danu/tokenizer` is one. */
export interface TokenEncoder {
  /** Token ids of a text, without the begin and end tokens. */
  encode(text: string): ArrayLike<number>;
  /** Number of ids; every id is below it. */
  readonly vocabularySize: number;
  /** Id that begins a document; negative when the tokenizer has none. */
  readonly bosId: number;
  /** Id that ends a document; negative when the tokenizer has none. */
  readonly eosId: number;
}

/** Ids of many texts at once, on as many threads as it likes; `BatchEncoder` of `@danu/tokenizer` is one. */
export interface TextBatchEncoder {
  /** @returns `ids` of all texts, those of text `i` from `starts[i]` to before `starts[i + 1]` */
  encode(texts: readonly string[]): Promise<EncodedTexts>;
}

/** See {@link TextBatchEncoder}. */
export interface EncodedTexts {
  readonly ids: Uint16Array | Uint32Array;
  readonly starts: ArrayLike<number>;
}

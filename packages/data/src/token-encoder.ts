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

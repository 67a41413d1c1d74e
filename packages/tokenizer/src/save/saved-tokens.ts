import type { BpeTokenizer } from "../bpe-tokenizer.ts";
import type { AddedToken } from "../text/added-tokens.ts";

/** A token as tokenizer.json and tokenizer_config.json describe it, beside its id. */
export interface TokenFields {
  readonly content: string;
  readonly single_word: boolean;
  readonly lstrip: boolean;
  readonly rstrip: boolean;
  readonly normalized: boolean;
  readonly special: boolean;
}

/** The names that tokens have outside the vocabulary. */
export class SavedTokens {
  /** Tokens found by their spelling, by ascending id. */
  readonly all: readonly AddedToken[];
  readonly #tokenizer: BpeTokenizer;
  readonly #contents: ReadonlyMap<number, string>;

  constructor(tokenizer: BpeTokenizer, tokens: readonly AddedToken[]) {
    this.#tokenizer = tokenizer;
    this.all = tokens.toSorted((a, b) => a.id - b.id);
    this.#contents = new Map(tokens.map(({ id, content }) => [id, content]));
  }

  /** Spelling of a token, null for id −1. */
  nameOf(id: number): string | null {
    return id < 0 ? null : (this.#contents.get(id) ?? this.#tokenizer.pieces[id]!);
  }

  /** Tokens named bos, eos, unk and pad; null for those that are missing. */
  get named(): Readonly<Record<"bos_token" | "eos_token" | "unk_token" | "pad_token", string | null>> {
    const { bosId, eosId, unkId, padId } = this.#tokenizer;
    return {
      bos_token: this.nameOf(bosId),
      eos_token: this.nameOf(eosId),
      unk_token: this.nameOf(unkId),
      pad_token: this.nameOf(padId),
    };
  }
}

export function fieldsOf(token: AddedToken): TokenFields {
  return {
    content: token.content,
    single_word: token.singleWord ?? false,
    lstrip: token.leftStrip ?? false,
    rstrip: token.rightStrip ?? false,
    normalized: token.normalized ?? false,
    special: token.special,
  };
}

import type { AddedToken } from "./text/added-tokens.ts";

/** What the files beside a vocabulary say: tokenizer_config.json, special_tokens_map.json and added_tokens.json. */
export interface TokenizerSettings {
  /** Spellings of special tokens where the files name them; null where they say that there is none. */
  readonly bos?: string | null;
  readonly eos?: string | null;
  readonly unk?: string | null;
  readonly pad?: string | null;
  readonly addsBos?: boolean;
  readonly addsEos?: boolean;
  /** Whether every stretch between special tokens gets a dummy space, or the first alone. */
  readonly legacy?: boolean;
  /** Tokens beside or beyond the pieces; a special piece may be named again. */
  readonly addedTokens?: readonly AddedToken[];
  /** Jinja source of the chat template. */
  readonly chatTemplate?: string;
}

import { TokenizerError } from "./errors.ts";
import { parseModel } from "./sentencepiece/model.ts";
import { sentencePieceTokenizer } from "./sentencepiece/tokenizer.ts";
import type { TokenizerSettings } from "./settings.ts";
import type { Tokenizer } from "./tokenizer.ts";

const OPENING_BRACE = 0x7b;

/** The files of a tokenizer, as bytes. */
export interface TokenizerFiles {
  /** A SentencePiece `.model` or a `tokenizer.json`. */
  readonly model: Uint8Array;
  /** `tokenizer_config.json` */
  readonly config?: Uint8Array;
  /** `special_tokens_map.json` */
  readonly specialTokensMap?: Uint8Array;
  /** `added_tokens.json` */
  readonly addedTokens?: Uint8Array;
  /** `chat_template.jinja`, which comes before the template of `tokenizer_config.json` */
  readonly chatTemplate?: Uint8Array;
}

/** Reads a tokenizer; which of the formats it is shows in its content.
 *  @param files the whole vocabulary file, or that with the small files beside it
 *  @throws TokenizerError `malformed-model` if a file breaks its format, `unsupported-model` if it is of another kind */
export function loadTokenizer(files: Uint8Array | TokenizerFiles): Tokenizer {
  const { model, ...beside } = files instanceof Uint8Array ? { model: files } : files;
  const settings: TokenizerSettings = readSettings(beside);
  if (looksLikeJson(model)) {
    throw new TokenizerError(
      "unsupported-model",
      "expected a SentencePiece .model, got JSON: pass the tokenizer.model that lies beside tokenizer.json",
    );
  }
  return sentencePieceTokenizer(parseModel(model), settings);
}

function readSettings(_files: Omit<TokenizerFiles, "model">): TokenizerSettings {
  return {};
}

/** No model starts with a brace: as protobuf it would open a group, which the format does not use. */
function looksLikeJson(bytes: Uint8Array): boolean {
  const start = bytes[0] === 0xef && bytes[1] === 0xbb && bytes[2] === 0xbf ? 3 : 0;
  let at = start;
  while (bytes[at] === 0x20 || bytes[at] === 0x0a || bytes[at] === 0x0d || bytes[at] === 0x09) at++;
  return bytes[at] === OPENING_BRACE;
}

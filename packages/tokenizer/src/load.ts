import { readSettings } from "./huggingface/settings-files.ts";
import { huggingFaceTokenizer } from "./huggingface/tokenizer-json.ts";
import { parseModel } from "./sentencepiece/model.ts";
import { sentencePieceTokenizer } from "./sentencepiece/tokenizer.ts";
import type { Tokenizer } from "./tokenizer.ts";

const OPENING_BRACE = 0x7b;
const CLOSING_BRACE = 0x7d;
const QUOTE = 0x22;

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
  const settings = readSettings(beside);
  if (looksLikeJson(model)) return huggingFaceTokenizer(model, settings);
  return sentencePieceTokenizer(parseModel(model), settings);
}

/** Whether a file begins like a JSON object. The first two bytes of a model can be a newline and a brace, but then what
 *  follows is neither a quote nor another brace. */
function looksLikeJson(bytes: Uint8Array): boolean {
  const hasMark = bytes[0] === 0xef && bytes[1] === 0xbb && bytes[2] === 0xbf;
  const brace = spaceEnd(bytes, hasMark ? 3 : 0);
  const next = bytes[spaceEnd(bytes, brace + 1)];
  return bytes[brace] === OPENING_BRACE && (next === QUOTE || next === CLOSING_BRACE);
}

function spaceEnd(bytes: Uint8Array, start: number): number {
  let at = start;
  while (bytes[at] === 0x20 || bytes[at] === 0x0a || bytes[at] === 0x0d || bytes[at] === 0x09) at++;
  return at;
}

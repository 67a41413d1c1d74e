import { TokenizerError } from "./errors.ts";
import { parseModel } from "./sentencepiece/model.ts";
import { SentencePieceTokenizer } from "./sentencepiece/tokenizer.ts";
import type { Tokenizer } from "./tokenizer.ts";

const OPENING_BRACE = 0x7b;

/** Reads a tokenizer file, recognised by its content: at present a SentencePiece `.model` of type BPE.
 *  @param bytes the whole file
 *  @throws TokenizerError `malformed-model` if the file breaks its format, `unsupported-model` if it is of another
 *  kind */
export function loadTokenizer(bytes: Uint8Array): Tokenizer {
  if (looksLikeJson(bytes)) {
    throw new TokenizerError(
      "unsupported-model",
      "expected a SentencePiece .model, got JSON: pass the tokenizer.model that lies beside tokenizer.json",
    );
  }
  return new SentencePieceTokenizer(parseModel(bytes));
}

/** No model starts with a brace: as protobuf it would open a group, which the format does not use. */
function looksLikeJson(bytes: Uint8Array): boolean {
  const start = bytes[0] === 0xef && bytes[1] === 0xbb && bytes[2] === 0xbf ? 3 : 0;
  let at = start;
  while (bytes[at] === 0x20 || bytes[at] === 0x0a || bytes[at] === 0x0d || bytes[at] === 0x09) at++;
  return bytes[at] === OPENING_BRACE;
}

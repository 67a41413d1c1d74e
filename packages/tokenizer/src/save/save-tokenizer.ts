import { BpeTokenizer, type Origin } from "../bpe-tokenizer.ts";
import { TokenizerError } from "../errors.ts";
import { Kind, spellingOf } from "../sentencepiece/model.ts";
import type { AddedToken } from "../text/added-tokens.ts";
import type { Tokenizer } from "../tokenizer.ts";
import { configFiles, jsonFile } from "./config-files.ts";
import { modelFile } from "./model-file.ts";
import { SavedTokens } from "./saved-tokens.ts";
import { tokenizerJson } from "./tokenizer-json.ts";

/** Formats that a tokenizer is saved in: `tokenizer.model`, or `tokenizer.json`. */
export type TokenizerFormat = "sentencepiece" | "huggingface";

/** What the files say beside what the tokenizer knows itself. */
export interface SaveOptions {
  /** Longest text that the model takes, in tokens; written as `model_max_length`. */
  readonly modelMaxLength?: number;
}

/** The files of a tokenizer in a format that the ecosystem reads, by name. The vocabulary is `tokenizer.model` or
 *  `tokenizer.json`, with `tokenizer_config.json`, `special_tokens_map.json` and, where tokens were added to a model,
 *  `added_tokens.json`; a vocabulary in the format that it was read from keeps its bytes.
 *
 *  transformers 5 reads `tokenizer.model` in its own way, with other ids: it needs `tokenizer.json`. A folder for
 *  everybody has the files of both, those of "huggingface" written over those of "sentencepiece".
 *  @throws TokenizerError `unsupported-model` where the format cannot give the same ids, as a byte-level vocabulary in
 *  `tokenizer.model`; `bad-option` for a tokenizer that is not of this package */
export function saveTokenizer(
  tokenizer: Tokenizer,
  format: TokenizerFormat,
  options: SaveOptions = {},
): ReadonlyMap<string, Uint8Array> {
  if (!(tokenizer instanceof BpeTokenizer)) {
    throw new TokenizerError("bad-option", "saveTokenizer: expected a tokenizer that loadTokenizer made, got another");
  }
  const vocabulary = format === "sentencepiece" ? modelOf(tokenizer) : jsonOf(tokenizer);
  const { name, bytes, tokens, legacy } = vocabulary;
  const tokenizerClass = format === "sentencepiece" ? "LlamaTokenizer" : "PreTrainedTokenizerFast";
  const config = { tokenizerClass, legacy, modelMaxLength: options.modelMaxLength } as const;
  const files = new Map([[name, bytes], ...configFiles(tokenizer, tokens, config)]);
  const beyond = tokens.all.filter(({ id }) => id >= vocabulary.size);
  if (format === "sentencepiece" && beyond.length > 0) {
    files.set("added_tokens.json", jsonFile(Object.fromEntries(beyond.map(({ content, id }) => [content, id]))));
  }
  return files;
}

/** A vocabulary's file, and what the small files have to say for it. */
interface SavedVocabulary {
  readonly name: string;
  readonly bytes: Uint8Array;
  /** Number of ids that the file itself has pieces for. */
  readonly size: number;
  readonly tokens: SavedTokens;
  readonly legacy: boolean | undefined;
}

function modelOf(tokenizer: BpeTokenizer): SavedVocabulary {
  const { origin } = tokenizer;
  const name = "tokenizer.model";
  if (origin.format === "huggingface") {
    const { model, tokens, size, legacy } = modelFile(tokenizer, origin.file);
    return { name, bytes: model, size, tokens: new SavedTokens(tokenizer, tokens), legacy };
  }
  const { model, settings } = origin;
  const tokens = new SavedTokens(tokenizer, tokensOf(origin));
  return { name, bytes: model.file, size: model.kinds.length, tokens, legacy: settings.legacy ?? true };
}

function jsonOf(tokenizer: BpeTokenizer): SavedVocabulary {
  const { origin } = tokenizer;
  const name = "tokenizer.json";
  const size = tokenizer.vocabularySize;
  if (origin.format === "huggingface") {
    const tokens = new SavedTokens(tokenizer, origin.settings.addedTokens ?? []);
    return { name, bytes: origin.file, size, tokens, legacy: undefined };
  }
  const tokens = new SavedTokens(tokenizer, tokensOf(origin));
  const bytes = tokenizerJson(tokenizer, origin.model, tokens);
  return { name, bytes, size, tokens, legacy: origin.settings.legacy ?? true };
}

/** Special pieces of a model, but the settings' tokens in the place of those that they name again. All are found in raw
 *  text, whatever the settings call normalized. */
function tokensOf({ model, settings }: Origin & { readonly format: "sentencepiece" }): AddedToken[] {
  const byId = new Map<number, AddedToken>();
  model.kinds.forEach((kind, id) => {
    if (kind !== Kind.control && kind !== Kind.unknown) return;
    byId.set(id, { id, content: spellingOf(model, id), special: true });
  });
  for (const token of settings.addedTokens ?? []) byId.set(token.id, { ...token, normalized: false });
  return [...byId.values()];
}

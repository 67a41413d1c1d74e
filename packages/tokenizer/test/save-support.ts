import { loadTokenizer, type Tokenizer, TokenizerError } from "../src/index.ts";

/** Loads the files of a saved tokenizer. */
export function reload(files: ReadonlyMap<string, Uint8Array>): Tokenizer {
  return loadTokenizer({
    model: (files.get("tokenizer.model") ?? files.get("tokenizer.json"))!,
    config: files.get("tokenizer_config.json")!,
    specialTokensMap: files.get("special_tokens_map.json")!,
  });
}

/** What the call gives, or undefined where it refuses a tokenizer. */
export function ifSupported<T>(make: () => T): T | undefined {
  try {
    return make();
  } catch (error) {
    if (error instanceof TokenizerError && error.code === "unsupported-model") return undefined;
    throw error;
  }
}

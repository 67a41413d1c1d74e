import type { EncodeOptions, Tokenizer } from "./tokenizer.ts";

/** Ids of several texts, one after another. */
export interface EncodedTexts {
  /** 16 bits wide where the vocabulary has at most 65,536 pieces. */
  readonly ids: Uint16Array<ArrayBuffer> | Uint32Array<ArrayBuffer>;
  /** `[texts]` number of ids of each. */
  readonly lengths: Uint32Array<ArrayBuffer>;
}

/** Encodes texts one after another. */
export function encodeTexts(tokenizer: Tokenizer, texts: readonly string[], options: EncodeOptions): EncodedTexts {
  const encoded = texts.map((text) => tokenizer.encode(text, options));
  return { ids: concatIds(encoded, tokenizer.vocabularySize), lengths: Uint32Array.from(encoded, (ids) => ids.length) };
}

/** Puts lists of ids one after another, as narrow as the vocabulary allows. */
export function concatIds(parts: readonly ArrayLike<number>[], vocabularySize: number): EncodedTexts["ids"] {
  const total = parts.reduce((sum, ids) => sum + ids.length, 0);
  const all = vocabularySize <= 65536 ? new Uint16Array(total) : new Uint32Array(total);
  let at = 0;
  for (const ids of parts) {
    all.set(ids, at);
    at += ids.length;
  }
  return all;
}

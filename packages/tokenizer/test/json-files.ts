import { expect } from "vitest";
import { loadTokenizer, type Tokenizer, TokenizerError, type TokenizerFiles } from "../src/index.ts";

/** Fields of a tokenizer.json to put in the place of the defaults. */
export type Fields = Readonly<Record<string, unknown>>;

/** A tokenizer.json as an object: four letters, `▁`, and two merges; spaces become `▁`.
 *  @param model fields of the model  @param fields fields beside it */
export function jsonFile(model: Fields = {}, fields: Fields = {}): Fields {
  return {
    version: "1.0",
    truncation: null,
    padding: null,
    added_tokens: [addedToken(8, "<s>")],
    normalizer: { type: "Replace", pattern: { String: " " }, content: "\u2581" },
    pre_tokenizer: null,
    post_processor: null,
    decoder: { type: "Replace", pattern: { String: "\u2581" }, content: " " },
    ...fields,
    model: {
      type: "BPE",
      unk_token: "<unk>",
      vocab: { "<unk>": 0, a: 1, b: 2, c: 3, "\u2581": 4, ab: 5, "\u2581c": 6, "d": 7 },
      merges: ["a b", ["\u2581", "c"]],
      ...model,
    },
  };
}

/** An added token as a tokenizer.json has it. */
export function addedToken(id: number, content: string, fields: Fields = {}): Fields {
  const flags = { single_word: false, lstrip: false, rstrip: false, normalized: false, special: true };
  return { id, content, ...flags, ...fields };
}

/** The bytes of a value as JSON. */
export function jsonBytes(value: unknown): Uint8Array {
  return new TextEncoder().encode(JSON.stringify(value));
}

/** Many added tokens. */
export function addedTokens(count: number): Fields[] {
  return Array.from({ length: count }, (_, i) => addedToken(8 + i, `<${i}>`));
}

const sample = "ab c  abc\n\u00e9\u{1F600}<s> 12's \u2581";

/** Uses a tokenizer in every way. */
export function exercise(tokenizer: Tokenizer): void {
  const ids = tokenizer.encode(sample, { parseSpecial: true });
  const { starts, ends } = tokenizer.encodeWithOffsets(sample, { parseSpecial: true });
  expect(starts.every((start, i) => start <= ends[i]! && ends[i]! <= sample.length)).toBe(true);
  expect(ids.every((id) => id < tokenizer.vocabularySize)).toBe(true);
  tokenizer.decode(ids);
  tokenizer.decode(ids, { skipSpecial: false });
  expect(tokenizer.pieces.length).toBe(tokenizer.vocabularySize);
}

/** Loads files that may be broken. @returns the error's code, or "loaded"; any other error fails the test */
export function outcome(files: Uint8Array | TokenizerFiles): string {
  try {
    exercise(loadTokenizer(files));
    return "loaded";
  } catch (error) {
    if (error instanceof TokenizerError) return error.code;
    throw error;
  }
}

export { TokenizerError, type TokenizerErrorCode } from "./errors.ts";
export { loadTokenizer } from "./load.ts";
export type { StreamDecoder } from "./decode/stream.ts";
export type { DecodeOptions, EncodeOptions, Tokenizer } from "./tokenizer.ts";

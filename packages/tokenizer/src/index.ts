export { BatchEncoder, type BatchEncoderOptions, type EncodedBatch } from "./batch-encoder.ts";
export { TokenizerError, type TokenizerErrorCode } from "./errors.ts";
export { loadTokenizer, type TokenizerFiles } from "./load.ts";
export type { StreamDecoder } from "./decode/stream.ts";
export type { TextRange } from "./text/added-tokens.ts";
export type { DecodeOptions, EncodeOptions, Encoding, OffsetUnit, Tokenizer } from "./tokenizer.ts";

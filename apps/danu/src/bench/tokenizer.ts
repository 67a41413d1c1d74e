import { loadTokenizer } from "@danu/tokenizer";

/** Speed of a tokenizer on one core. */
export interface TokenizerResult {
  readonly encodeMBps: number;
  readonly decodeMBps: number;
  /** First load in the process. */
  readonly loadMs: number;
  readonly tokens: number;
}

/** Best of a few runs over one document; rates count bytes of UTF-8. */
export function benchTokenizer(file: Uint8Array, text: string): TokenizerResult {
  const start = performance.now();
  const tokenizer = loadTokenizer(file);
  const loadMs = performance.now() - start;
  const megabytes = Buffer.byteLength(text) / 1e6;
  let [encode, decode] = [Infinity, Infinity];
  let ids = tokenizer.encode(text);
  for (let run = 0; run < 5; run++) {
    const begin = performance.now();
    ids = tokenizer.encode(text);
    const middle = performance.now();
    tokenizer.decode(ids);
    encode = Math.min(encode, middle - begin);
    decode = Math.min(decode, performance.now() - middle);
  }
  return { encodeMBps: (megabytes / encode) * 1000, decodeMBps: (megabytes / decode) * 1000, loadMs, tokens: ids.length };
}

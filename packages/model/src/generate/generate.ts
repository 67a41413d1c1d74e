import { reshape, scope, slice, tensor, type Tensor } from "@danu/tensor";

import type { Decoder } from "../decoder/decoder.ts";
import type { DecoderParameters } from "../decoder/parameters.ts";
import { Random } from "../random.ts";
import { GenerationError } from "./errors.ts";
import { checkSampling, sample, type SamplingOptions } from "./sample.ts";

/** How a text is continued. */
export interface GenerateOptions extends SamplingOptions {
  /** Most tokens to add. */
  readonly maxTokens: number;
  /** Tokens that end the text; they are not part of it. */
  readonly stopIds?: readonly number[];
  /** Equal seeds give equal texts. */
  readonly seed?: number;
  /** Ends the text at the next token. */
  readonly signal?: AbortSignal;
}

/** Longest piece of a prompt that goes through the model at once, which bounds the memory of its activations. */
const promptPiece = 512;

/** Continues a text, token by token.
 *  @param prompt ids, at least one  @returns the ids added, each as soon as it is known
 *  @throws GenerationError when the prompt is empty, an id is not in the vocabulary, or an option is out of range */
export async function* generate(
  decoder: Decoder, params: DecoderParameters, prompt: ArrayLike<number>, options: GenerateOptions,
): AsyncGenerator<number, void, undefined> {
  checkSampling(options);
  checkPrompt(decoder, prompt);
  const text = Array.from(prompt);
  const random = new Random(options.seed ?? 0);
  const limit = Math.min(text.length + options.maxTokens, decoder.positions);
  const caches = decoder.caches(1, limit, params.embedding.dtype);
  try {
    let logits = await prefill(decoder, params, text, caches);
    while (text.length < limit && options.signal?.aborted !== true) {
      const id = sample(logits, text, options, random);
      if (options.stopIds?.includes(id) === true) return;
      text.push(id);
      yield id;
      if (text.length < limit) logits = await next(decoder, params, [id], text.length - 1, caches);
    }
  } finally {
    for (const cache of caches) cache[Symbol.dispose]();
  }
}

function checkPrompt(decoder: Decoder, prompt: ArrayLike<number>): void {
  const { vocabularySize } = decoder.config;
  if (prompt.length === 0) throw new GenerationError("generate: expected a prompt of at least one token, got none");
  if (prompt.length > decoder.positions) {
    throw new GenerationError(`generate: expected a prompt of at most ${decoder.positions} tokens, got ${prompt.length}`);
  }
  const wrong = Array.from(prompt).find((id) => !(Number.isInteger(id) && id >= 0 && id < vocabularySize));
  if (wrong !== undefined) throw new GenerationError(`generate: expected token ids from 0 to ${vocabularySize - 1}, got ${wrong}`);
}

type Caches = ReturnType<Decoder["caches"]>;

async function prefill(decoder: Decoder, params: DecoderParameters, prompt: readonly number[], caches: Caches): Promise<Float32Array> {
  let from = 0;
  for (; prompt.length - from > promptPiece; from += promptPiece) {
    const piece = prompt.slice(from, from + promptPiece);
    scope(() => { decoder.hiddenStates(params, inputOf(decoder, piece, from), caches); });
  }
  return next(decoder, params, prompt.slice(from), from, caches);
}

/** Scores of the token after `ids`, which stand at position `from`. */
async function next(
  decoder: Decoder, params: DecoderParameters, ids: readonly number[], from: number, caches: Caches,
): Promise<Float32Array> {
  const logits = scope((): Tensor => {
    const hidden = decoder.hiddenStates(params, inputOf(decoder, ids, from), caches);
    return reshape(decoder.head(params, slice(hidden, 1, ids.length - 1, ids.length)), [-1]);
  });
  const values = await logits.read();
  logits.dispose();
  return Float32Array.from(values);
}

function inputOf(decoder: Decoder, ids: readonly number[], from: number): Parameters<Decoder["hiddenStates"]>[1] {
  const row = (values: readonly number[]): Tensor => tensor(decoder.device, values, [1, values.length], "i32");
  return { ids: row(ids), positions: row(ids.map((_, i) => from + i)), documentStart: null };
}

import type { KeyValueCache } from "@danu/attention";
import { cast, scope, slice, tensor, type Tensor } from "@danu/tensor";

import type { Decoder, DecoderInput } from "../decoder/decoder.ts";
import type { AdaptedParameters } from "../lora/adapted-weight.ts";
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

/** Texts one after another that share beginnings, as the turns of a conversation do: keys and values of the tokens read
 *  so far are kept, and only what is new goes through the model. */
export class TextSession implements Disposable {
  readonly #decoder: Decoder;
  readonly #params: AdaptedParameters;
  readonly #caches: readonly KeyValueCache[];
  /** Longest text in tokens. */
  readonly positions: number;
  #seen: number[] = [];
  #reused = 0;

  /** @param positions longest text, at most and by default the decoder's */
  constructor(decoder: Decoder, params: AdaptedParameters, positions: number = decoder.positions) {
    this.#decoder = decoder;
    this.#params = params;
    this.positions = Math.min(positions, decoder.positions);
    this.#caches = decoder.caches(1, this.positions, params.embedding.dtype);
  }

  /** Tokens of the last prompt that had been read before. */
  get reused(): number {
    return this.#reused;
  }

  /** Continues a text, token by token.
   *  @param prompt ids, at least one  @returns the ids added, each as soon as it is known
   *  @throws GenerationError when the prompt is empty, an id is not in the vocabulary, or an option is out of range */
  async *generate(prompt: ArrayLike<number>, options: GenerateOptions): AsyncGenerator<number, void, undefined> {
    checkSampling(options);
    this.#checkPrompt(prompt);
    const text = Array.from(prompt);
    const random = new Random(options.seed ?? 0);
    const limit = Math.min(text.length + options.maxTokens, this.positions);
    this.#reused = this.#rewind(text);
    let logits = await this.#read(text.slice(this.#reused));
    while (text.length < limit && options.signal?.aborted !== true) {
      const id = sample(logits, text, options, random);
      if (options.stopIds?.includes(id) === true) return;
      text.push(id);
      yield id;
      if (text.length < limit) logits = await this.#read([id]);
    }
  }

  [Symbol.dispose](): void {
    for (const cache of this.#caches) cache[Symbol.dispose]();
  }

  /** Goes back to what the text shares with the one before; its last token is read again, for its scores.
   *  @returns tokens kept */
  #rewind(text: readonly number[]): number {
    let common = 0;
    while (common < text.length - 1 && common < this.#seen.length && text[common] === this.#seen[common]) common++;
    for (const cache of this.#caches) common = cache.rewind(common);
    this.#seen.length = common;
    return common;
  }

  /** Scores of the token after `ids`, which follow what was read. */
  async #read(ids: readonly number[]): Promise<Float32Array> {
    let from = 0;
    for (; ids.length - from > promptPiece; from += promptPiece) {
      scope(() => { this.#enqueue(ids.slice(from, from + promptPiece)); });
    }
    const logits = scope((): Tensor => {
      const hidden = this.#enqueue(ids.slice(from));
      const last = slice(hidden, 1, hidden.shape[1]! - 1, hidden.shape[1]!);
      return cast(this.#decoder.head(this.#params, last), "f32");
    });
    const values = await logits.read();
    logits.dispose();
    return values instanceof Float32Array ? values : Float32Array.from(values);
  }

  #enqueue(ids: readonly number[]): Tensor {
    const start = this.#seen.length;
    const row = (values: readonly number[]): Tensor => tensor(this.#decoder.device, values, [1, values.length], "i32");
    const input: DecoderInput = { ids: row(ids), positions: row(ids.map((_, i) => start + i)), documentStart: null };
    this.#seen.push(...ids);
    return this.#decoder.hiddenStates(this.#params, input, this.#caches);
  }

  #checkPrompt(prompt: ArrayLike<number>): void {
    const { vocabularySize } = this.#decoder.config;
    if (prompt.length === 0) throw new GenerationError("generate: expected a prompt of at least one token, got none");
    if (prompt.length > this.positions) {
      throw new GenerationError(`generate: expected a prompt of at most ${this.positions} tokens, got ${prompt.length}`);
    }
    const wrong = Array.from(prompt).find((id) => !(Number.isInteger(id) && id >= 0 && id < vocabularySize));
    if (wrong !== undefined) throw new GenerationError(`generate: expected token ids from 0 to ${vocabularySize - 1}, got ${wrong}`);
  }
}

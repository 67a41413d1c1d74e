import type { Decoder } from "../decoder/decoder.ts";
import type { AdaptedParameters } from "../lora/adapted-weight.ts";
import { bestTokens } from "./best-tokens.ts";
import { CachedText, readOn, type Model } from "./cached-text.ts";
import { Continuation, type GenerateOptions, type GenerationEnd } from "./continuation.ts";

/** Texts one after another that share beginnings, as the turns of a conversation do: keys and values of the tokens read
 *  so far are kept, and only what is new goes through the model. */
export class TextSession implements Disposable {
  /** Longest text in tokens. */
  readonly positions: number;
  readonly #model: Model;
  readonly #read: CachedText;
  #reused = 0;

  /** @param positions longest text, at most and by default the decoder's */
  constructor(decoder: Decoder, params: AdaptedParameters, positions: number = decoder.positions) {
    this.positions = Math.min(positions, decoder.positions);
    this.#model = { decoder, params };
    this.#read = new CachedText(this.#model, this.positions);
  }

  /** Tokens of the last prompt that had been read before. */
  get reused(): number {
    return this.#reused;
  }

  /** Continues a text, token by token.
   *  @param prompt ids, at least one  @returns the ids added, each as soon as it is known, and why the text ended
   *  @throws GenerationError when the prompt is empty, an id is not in the vocabulary, or an option is out of range */
  async *generate(prompt: ArrayLike<number>, options: GenerateOptions): AsyncGenerator<number, GenerationEnd, undefined> {
    const { vocabularySize } = this.#model.decoder.config;
    const continuation = new Continuation(prompt, options, { positions: this.positions, vocabularySize });
    this.#reused = this.#read.rewind(continuation.text);
    while (continuation.end === null) {
      const unread = continuation.text.slice(this.#read.ids.length);
      if (continuation.takesBest && unread.length === 1 && this.#read.ids.length > 0) {
        if (yield* bestTokens(this.#read, continuation)) continue;
      }
      const logits = await readOn(this.#model, this.#read, unread);
      const id = continuation.add(logits);
      if (id !== null) yield id;
    }
    return continuation.end;
  }

  [Symbol.dispose](): void {
    this.#read[Symbol.dispose]();
  }
}

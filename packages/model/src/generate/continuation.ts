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

/** Why a text ended: by one of `stopIds`, by `maxTokens`, because no position was left, or by the signal. */
export type GenerationEnd = "stop" | "length" | "context" | "interrupt";

/** What a text may be. */
export interface TextLimits {
  readonly positions: number;
  readonly vocabularySize: number;
}

/** A text that is being continued: it chooses tokens from their scores until it ends. */
export class Continuation {
  /** The prompt and what was added. */
  readonly text: number[];
  readonly #prompt: number;
  readonly #options: GenerateOptions;
  readonly #positions: number;
  readonly #random: Random;
  #end: GenerationEnd | null = null;

  /** @throws GenerationError when the prompt is empty or too long, an id is not in the vocabulary, or an option is out
   *  of range */
  constructor(prompt: ArrayLike<number>, options: GenerateOptions, limits: TextLimits) {
    checkSampling(options);
    checkPrompt(prompt, limits);
    this.text = Array.from(prompt);
    this.#prompt = prompt.length;
    this.#options = options;
    this.#positions = limits.positions;
    this.#random = new Random(options.seed ?? 0);
  }

  /** Ids added so far. */
  get added(): readonly number[] {
    return this.text.slice(this.#prompt);
  }

  /** Why the text ended; null while it goes on. */
  get end(): GenerationEnd | null {
    return this.#end ?? this.#limitReached();
  }

  /** Whether the best token by the scores as they are is added every time. */
  get takesBest(): boolean {
    const { temperature = 1, repetitionPenalty = 1 } = this.#options;
    return temperature === 0 && repetitionPenalty === 1;
  }

  /** Adds a token. @param logits its scores  @returns its id, or null where the text ended instead */
  add(logits: Float32Array): number | null {
    return this.end === null ? this.take(sample(logits, this.text, this.#options, this.#random)) : null;
  }

  /** Adds a token that was chosen. @returns its id, or null where the text ended instead */
  take(id: number): number | null {
    if (this.end !== null) return null;
    if (this.#options.stopIds?.includes(id) === true) {
      this.#end = "stop";
      return null;
    }
    this.text.push(id);
    return id;
  }

  #limitReached(): GenerationEnd | null {
    const { length } = this.text;
    if (length - this.#prompt >= this.#options.maxTokens) return "length";
    if (length >= this.#positions) return "context";
    return this.#options.signal?.aborted === true ? "interrupt" : null;
  }
}

function checkPrompt(prompt: ArrayLike<number>, { positions, vocabularySize }: TextLimits): void {
  if (prompt.length === 0) throw new GenerationError("generate: expected a prompt of at least one token, got none");
  if (prompt.length > positions) {
    throw new GenerationError(`generate: expected a prompt of at most ${positions} tokens, got ${prompt.length}`);
  }
  const wrong = Array.from(prompt).find((id) => !(Number.isInteger(id) && id >= 0 && id < vocabularySize));
  if (wrong !== undefined) throw new GenerationError(`generate: expected token ids from 0 to ${vocabularySize - 1}, got ${wrong}`);
}

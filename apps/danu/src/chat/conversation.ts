import { DataError, type ChatMessage, type ChatTemplate } from "@danu/data";
import { TextSession, type GenerateOptions, type GenerationEnd } from "@danu/model";
import type { Tokenizer } from "@danu/tokenizer";

import { InputError } from "../cli/errors.ts";
import { withText } from "../model/continue-text.ts";
import type { LoadedModel } from "../model/open-model.ts";
import { checkIds, encodeMessages, type EncodedPrompt } from "../model/prompt.ts";

/** An answer with what it took. */
export interface Answer {
  readonly text: string;
  readonly ids: readonly number[];
  readonly end: GenerationEnd;
  /** Tokens of the conversation up to the answer. */
  readonly promptTokens: number;
  /** How many of them were in the key-value cache. */
  readonly reusedTokens: number;
  /** Messages at the beginning that no longer fit into the context. */
  readonly forgottenMessages: number;
  readonly seconds: number;
}

/** Settings of a conversation. */
export interface ConversationOptions extends Omit<GenerateOptions, "stopIds" | "signal"> {
  /** What the model is told before the first question. */
  readonly system: string | null;
}

/** A conversation with a model, turn by turn. */
export class Conversation implements Disposable {
  readonly #session: TextSession;
  readonly #tokenizer: Tokenizer;
  readonly #template: ChatTemplate;
  readonly #options: ConversationOptions;
  readonly #model: LoadedModel;
  #messages: ChatMessage[] = [];
  #turns = 0;

  /** @throws InputError when the template has no place for the system message */
  constructor(model: LoadedModel, tokenizer: Tokenizer, template: ChatTemplate, options: ConversationOptions) {
    this.#tokenizer = tokenizer;
    this.#template = template;
    this.#options = options;
    this.#model = model;
    this.reset();
    if (options.system !== null) checkSystem(template, options.system);
    this.#session = new TextSession(model.decoder, model.params);
  }

  /** Everything said so far. */
  get messages(): readonly ChatMessage[] {
    return this.#messages;
  }

  /** Most tokens of a conversation. */
  get contextTokens(): number {
    return this.#session.positions;
  }

  /** Forgets what was said; the system message stays. */
  reset(): void {
    const { system } = this.#options;
    this.#messages = system === null ? [] : [{ role: "system", content: system }];
  }

  /** Asks something. Where the context is full, the oldest questions and answers are forgotten.
   *  @returns pieces of the answer as they come, and in the end the answer
   *  @throws InputError for a question longer than the context, which then is as if never asked; DataError likewise */
  async *ask(question: string, signal: AbortSignal): AsyncGenerator<string, Answer, undefined> {
    const began = performance.now();
    const { messages, prompt, forgotten } = this.#fit([...this.#messages, { role: "user", content: question }]);
    const { stopIds } = prompt;
    const seed = (this.#options.seed ?? 0) + this.#turns++;
    const added = this.#session.generate(prompt.ids, { ...this.#options, seed, stopIds, signal });
    const pieces = withText(this.#tokenizer, prompt.ids, added);
    const ids: number[] = [];
    let text = "";
    let next = await pieces.next();
    for (; next.done !== true; next = await pieces.next()) {
      ids.push(next.value.id);
      text += next.value.text;
      yield next.value.text;
    }
    // A question whose answer was stopped before its first word is as if never asked.
    if (ids.length > 0 || next.value !== "interrupt") this.#messages = [...messages, { role: "assistant", content: text }];
    return {
      text, ids, end: next.value, promptTokens: prompt.ids.length, reusedTokens: this.#session.reused,
      forgottenMessages: forgotten, seconds: (performance.now() - began) / 1000,
    };
  }

  [Symbol.dispose](): void {
    this.#session[Symbol.dispose]();
  }

  /** The conversation as far as it fits, with room for an answer. */
  #fit(all: readonly ChatMessage[]): { messages: readonly ChatMessage[]; prompt: EncodedPrompt; forgotten: number } {
    const room = Math.min(this.#options.maxTokens, this.contextTokens >> 2);
    const first = all[0]!.role === "system" ? 1 : 0;
    for (let forgotten = 0; ; forgotten += 2) {
      const messages = [...all.slice(0, first), ...all.slice(first + forgotten)];
      const prompt = encodeMessages(this.#tokenizer, this.#template, messages);
      const isLast = messages.length === first + 1;
      if (isLast) checkIds(prompt.ids, this.#model.decoder);
      if (isLast || prompt.ids.length + room <= this.contextTokens) return { messages, prompt, forgotten };
    }
  }
}

/** A template may refuse a system message, or pass over it in silence. */
function checkSystem(template: ChatTemplate, system: string): void {
  const messages = [{ role: "system", content: system }, { role: "user", content: "question" }];
  const advice = "leave it out, or say it in the first question";
  try {
    if (template.render(messages, { addGenerationPrompt: true }).includes(system.trim())) return;
  } catch (error) {
    if (!(error instanceof DataError)) throw error;
    throw new InputError(`--system: expected a chat template with system messages, this model's has none (${error.message}); ${advice}`);
  }
  throw new InputError(`--system: expected a chat template with system messages, this model's leaves them out; ${advice}`);
}

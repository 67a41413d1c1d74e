import { DataError, encodeChat, type ChatMessage, type ChatTemplate } from "@danu/data";
import { TextSession, type GenerateOptions } from "@danu/model";
import type { Tokenizer } from "@danu/tokenizer";

import { InputError } from "../cli/errors.ts";
import { answerEnds } from "../model/chat-template.ts";
import type { LoadedModel } from "../model/open-model.ts";

/** Why an answer ended: the model ended it, `maxTokens` were reached, the context was full, or somebody stopped it. */
export type AnswerEnd = "stop" | "length" | "context" | "interrupt";

/** An answer with what it took. */
export interface Answer {
  readonly text: string;
  readonly ids: readonly number[];
  readonly end: AnswerEnd;
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
  readonly #stopIds: readonly number[];
  #messages: ChatMessage[] = [];
  #turns = 0;

  /** @throws InputError when the template has no place for the system message */
  constructor(model: LoadedModel, tokenizer: Tokenizer, template: ChatTemplate, options: ConversationOptions) {
    this.#tokenizer = tokenizer;
    this.#template = template;
    this.#options = options;
    this.#stopIds = answerEnds(tokenizer, template);
    checkVocabulary(tokenizer, this.#stopIds, model.config.vocabularySize);
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
    const { messages, ids: prompt, forgotten } = this.#fit([...this.#messages, { role: "user", content: question }]);
    const { maxTokens, seed = 0 } = this.#options;
    const stream = this.#tokenizer.streamDecoder();
    // The prompt goes through the decoder too, for what comes next depends on it: a space is dropped only at the start.
    stream.push(prompt);
    const ids: number[] = [];
    let text = "";
    const options = { ...this.#options, seed: seed + this.#turns++, stopIds: this.#stopIds, signal };
    for await (const id of this.#session.generate(prompt, options)) {
      ids.push(id);
      const piece = id < this.#tokenizer.vocabularySize ? stream.push(id) : "";
      text += piece;
      yield piece;
    }
    const rest = stream.flush();
    if (rest !== "") yield rest;
    text += rest;
    const full = prompt.length + ids.length >= this.contextTokens;
    const end = signal.aborted ? "interrupt" : full ? "context" : ids.length >= maxTokens ? "length" : "stop";
    this.#messages = [...messages, { role: "assistant", content: text }];
    return {
      text, ids, end, promptTokens: prompt.length, reusedTokens: this.#session.reused, forgottenMessages: forgotten,
      seconds: (performance.now() - began) / 1000,
    };
  }

  [Symbol.dispose](): void {
    this.#session[Symbol.dispose]();
  }

  /** The conversation as far as it fits, with room for an answer. */
  #fit(all: readonly ChatMessage[]): { messages: readonly ChatMessage[]; ids: Int32Array; forgotten: number } {
    const room = Math.min(this.#options.maxTokens, this.contextTokens >> 2);
    const first = all[0]!.role === "system" ? 1 : 0;
    for (let forgotten = 0; ; forgotten += 2) {
      const messages = [...all.slice(0, first), ...all.slice(first + forgotten)];
      const { ids } = encodeChat(this.#tokenizer, this.#template, messages, {
        addGenerationPrompt: true, changedAnswers: "untrained",
      });
      const isLast = first + forgotten === all.length - 1;
      if (ids.length + room <= this.contextTokens || (isLast && ids.length < this.contextTokens)) {
        return { messages, ids, forgotten };
      }
      if (isLast) {
        throw new InputError(`expected a question of fewer than ${this.contextTokens} tokens with what the template puts `
          + `around it, the context of the model, got ${ids.length}; ask a shorter one`);
      }
    }
  }
}

function checkVocabulary(tokenizer: Tokenizer, used: readonly number[], vocabularySize: number): void {
  const largest = Math.max(tokenizer.vocabularySize - 1, ...used);
  if (largest < vocabularySize) return;
  throw new InputError(`expected a tokenizer of at most the model's ${vocabularySize} pieces, this one has `
    + `${tokenizer.vocabularySize}; name another with --tokenizer`);
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

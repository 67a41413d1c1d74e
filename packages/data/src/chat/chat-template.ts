import { DataError } from "../data-error.ts";
import { defaultTemplateLimits, type TemplateLimits } from "./jinja/budget.ts";
import { Environment, type Scope } from "./jinja/engine.ts";
import { BoundedInterpreter } from "./jinja/interpreter.ts";
import { parseProgram, type TemplateProgram } from "./jinja/program.ts";
import { range } from "./jinja/range.ts";
import { strftime } from "./jinja/strftime.ts";
import { shorten, templateError } from "./jinja/template-error.ts";
import { problemOfJson } from "./json.ts";
import type { ChatMessage } from "./messages.ts";

/** Names and spellings of special tokens that a template may write, as `bos_token` → `<s>`. */
export type SpecialTokens = Readonly<Record<string, string>>;

/** Choices when a template is parsed. */
export interface TemplateOptions {
  readonly specialTokens?: SpecialTokens;
  readonly limits?: Partial<TemplateLimits>;
}

/** Choices of one rendering. */
export interface RenderOptions {
  /** Ends the text with what comes before an answer. Default `false`. */
  readonly addGenerationPrompt?: boolean;
  /** Descriptions of functions that the model may call, as the template expects them. Default: none. */
  readonly tools?: readonly unknown[];
  /** Further variables for the template, as JSON holds them: `enable_thinking`, `date_string`. */
  readonly variables?: Readonly<Record<string, unknown>>;
  /** What becomes of a variable that the template writes and that nothing gives it, special tokens aside: nothing, as in
   *  transformers (the default), or an error. */
  readonly unknownVariables?: "empty" | "error";
  /** What `strftime_now` takes for now, in local time. Default: the time of the rendering. */
  readonly now?: Date;
}

/** The Jinja template by which conversations become text, as transformers' `apply_chat_template` renders it. */
export class ChatTemplate {
  readonly source: string;
  readonly specialTokens: SpecialTokens;
  readonly #program: TemplateProgram;
  readonly #limits: TemplateLimits;

  /** @throws DataError `bad-template` with the line, `template-limit` */
  constructor(source: string, options: TemplateOptions = {}) {
    this.#limits = { ...defaultTemplateLimits, ...options.limits };
    this.source = source;
    this.specialTokens = options.specialTokens ?? {};
    this.#program = parseProgram(source, this.#limits);
  }

  /** The text of a conversation.
   *  @throws DataError `template-raised` with the template's own words, `template-failed` if it cannot be evaluated,
   *  `template-limit` if it takes too long or too much, `bad-option` for variables that JSON cannot hold */
  render(messages: readonly ChatMessage[], options: RenderOptions = {}): string {
    try {
      const globals = this.#globals(messages, options);
      return new BoundedInterpreter(this.#program, globals, this.#limits, options.unknownVariables).text();
    } catch (error) {
      throw asTemplateError(error);
    }
  }

  #globals(messages: readonly ChatMessage[], options: RenderOptions): Scope {
    const { addGenerationPrompt = false, tools = null, variables = {}, now = new Date() } = options;
    const own = {
      ...constants,
      messages,
      tools,
      documents: null,
      add_generation_prompt: addGenerationPrompt,
      raise_exception: raise,
      strftime_now: (format: unknown) => strftime(now, textArgument(format)),
    };
    const globals = new Environment();
    globals.setVariable("range", range(this.#limits));
    for (const [name, value] of Object.entries(own)) globals.set(name, value);
    checkJson("tools", tools);
    for (const [name, value] of Object.entries({ ...this.specialTokens, ...variables })) {
      if (globals.variables.has(name)) {
        const message = `variables: expected names that templates do not have already, got ${name}`;
        throw new DataError("bad-option", message, { name });
      }
      checkJson(name, value);
      globals.set(name, value);
    }
    return globals;
  }
}

/** A template from its source: what `chat_template` in tokenizer_config.json, or chat_template.jinja, holds.
 *  @throws DataError `bad-template` with the line, `template-limit` */
export function parseChatTemplate(source: string, options: TemplateOptions = {}): ChatTemplate {
  return new ChatTemplate(source, options);
}

const constants = { true: true, false: false, none: null, True: true, False: false, None: null };
const shownFormat = 1000;

function raise(reason: unknown): never {
  const text = shorten(typeof reason === "string" ? reason : "no reason given");
  throw new DataError("template-raised", `the chat template refuses the conversation: ${text}`, { reason: text });
}

function checkJson(name: string, value: unknown): void {
  const problem = problemOfJson(value);
  if (problem === undefined) return;
  throw new DataError("bad-option", `${name}: expected a value that JSON can hold, this one ${problem}`, { name });
}

function textArgument(value: unknown): string {
  if (typeof value === "string" && value.length <= shownFormat) return value;
  throw templateError(`strftime_now: expected a format of at most ${shownFormat} characters`);
}

/** Errors of the engine as ours: memory and stack used up in spite of the limits are limits too. */
function asTemplateError(error: unknown): DataError {
  if (error instanceof DataError) return error;
  const reason = error instanceof Error ? error.message : String(error);
  if (!(error instanceof RangeError)) return templateError(reason, error);
  const message = "chat template: expected a rendering within the memory there is, this one needs more";
  return new DataError("template-limit", message, { limit: "memory" }, error);
}

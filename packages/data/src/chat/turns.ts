import { DataError } from "../data-error.ts";
import { describe } from "./json.ts";
import type { ChatMessage } from "./messages.ts";

/** Renders some messages of a conversation. */
export type Render = (messages: readonly ChatMessage[], addGenerationPrompt: boolean) => string;

/** What becomes of an answer whose text the template writes differently once more messages follow. */
export type ChangedAnswers = "error" | "untrained";

/** The part of a text that a model produces. */
export interface Answer {
  /** Index of the message. */
  readonly message: number;
  /** Where generation would begin. */
  readonly start: number;
  /** Where the template goes on to the next message. */
  readonly end: number;
}

/** Where the messages of a conversation lie in its text. */
export interface Turns {
  readonly text: string;
  /** Start of each message, then of the generation prompt; ascending. */
  readonly starts: readonly number[];
  /** Answers that generation would reach as they stand in the text. */
  readonly answers: readonly Answer[];
  /** Messages of the assistant that are no such answers. */
  readonly changed: readonly number[];
}

/** Renders a conversation whole and up to each message, and takes the differences.
 *  @throws DataError `template-not-incremental` for an answer that does not follow its own prompt in the whole text,
 *  unless `changedAnswers` lets it go untrained; and the errors of rendering the whole */
export function findTurns(
  messages: readonly ChatMessage[],
  addGenerationPrompt: boolean,
  changedAnswers: ChangedAnswers,
  render: Render,
): Turns {
  const text = render(messages, addGenerationPrompt);
  const parts = messages.map((_, i) => rendered(render, messages.slice(0, i), false));
  parts.push(addGenerationPrompt ? render(messages, false) : text);
  const cuts = parts.map((part) => cutAfter(part, text));
  const answers: Answer[] = [];
  const changed: number[] = [];
  messages.forEach((message, i) => {
    if (message.role !== "assistant") return;
    const prompt = rendered(render, messages.slice(0, i), true);
    const start = prompt !== undefined && text.startsWith(prompt) ? prompt.length : undefined;
    const end = cuts[i + 1];
    if (start !== undefined && end !== undefined && start <= end) {
      answers.push({ message: i, start, end });
    } else if (changedAnswers === "untrained") changed.push(i);
    else throw notIncremental(i, start === undefined ? prompt : parts[i + 1], text, start === undefined);
  });
  return { text, starts: ascending(cuts), answers, changed };
}

/** A part of the conversation, or `undefined` where the template refuses it: many want a user's message at the end. */
function rendered(render: Render, messages: readonly ChatMessage[], addGenerationPrompt: boolean): string | undefined {
  try {
    return render(messages, addGenerationPrompt);
  } catch (error) {
    if (error instanceof DataError && (error.code === "template-raised" || error.code === "template-failed")) {
      return undefined;
    }
    throw error;
  }
}

/** Where a part of the conversation ends in the whole text, white space at its end aside. */
function cutAfter(part: string | undefined, text: string): number | undefined {
  if (part === undefined) return undefined;
  const common = commonLength(part, text);
  return part.slice(common).trim() === "" ? common : undefined;
}

function commonLength(a: string, b: string): number {
  if (b.startsWith(a)) return a.length;
  let length = 0;
  while (length < a.length && a.charCodeAt(length) === b.charCodeAt(length)) length++;
  return length;
}

/** Fills in unknown places: such a message has the text up to the next one's. */
function ascending(cuts: readonly (number | undefined)[]): number[] {
  let last = 0;
  return cuts.map((cut) => (last = Math.max(cut ?? last, last)));
}

function notIncremental(index: number, part: string | undefined, text: string, isPrompt: boolean): DataError {
  const what = isPrompt ? "the messages before it, with the generation prompt," : "the messages up to it";
  const place = commonLength(part ?? "", text);
  const got =
    part === undefined
      ? "a template that refuses them"
      : `${describe(part.slice(place, place + 40))} where the text has ${describe(text.slice(place, place + 40))}`;
  const message =
    `message ${index} (assistant): expected the template to write ${what} as it writes them in the whole ` +
    `conversation, got ${got}: leave such answers untrained with changedAnswers: "untrained", or end the ` +
    "conversation there";
  return new DataError("template-not-incremental", message, { index, place });
}

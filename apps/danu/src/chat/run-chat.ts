import { DataError } from "@danu/data";

import { InputError } from "../cli/errors.ts";
import type { Reporter } from "../cli/reporter.ts";
import { runChatCommand } from "./commands.ts";
import type { Answer, Conversation } from "./conversation.ts";
import type { LineSource } from "./line-reader.ts";

/** A question with its answer. */
export interface Turn extends Answer {
  readonly question: string;
}

/** What a chat needs. */
export interface ChatOptions {
  readonly conversation: Conversation;
  readonly reporter: Reporter;
  /** Takes the text of answers as it comes. */
  readonly write: (text: string) => void;
  /** Ends the chat. */
  readonly signal: AbortSignal;
}

/** Talks until the lines end, `/exit`, or the signal. @returns the turns, those before a reset too */
export async function runChat(lines: LineSource, { conversation, reporter, write, signal }: ChatOptions): Promise<Turn[]> {
  const turns: Turn[] = [];
  for (;;) {
    const line = await lines.next(signal);
    if (line === null) {
      if (lines.isTerminal) reporter.line();
      return turns;
    }
    if (line.trim() === "") continue;
    if (line.startsWith("/")) {
      const said = await runChatCommand(conversation, line);
      if (said === null) return turns;
      if (lines.isTerminal) reporter.line(said);
      else reporter.note(said);
      continue;
    }
    try {
      const question = line.trim();
      const answer = await lines.interruptible(signal, (stop) => showAnswer(conversation.ask(question, stop), write));
      turns.push({ question, ...answer });
      for (const remark of remarksOn(answer, conversation.contextTokens)) reporter.note(remark);
    } catch (error) {
      // At a terminal a question that cannot be asked is no reason to leave.
      if (!lines.isTerminal || !(error instanceof InputError || error instanceof DataError)) throw error;
      reporter.note(error.message);
    }
  }
}

/** Writes the pieces as they come, without the space before the first word. */
async function showAnswer(pieces: AsyncGenerator<string, Answer>, write: (text: string) => void): Promise<Answer> {
  let begun = false;
  for (;;) {
    const { value, done } = await pieces.next();
    if (done === true) {
      write("\n");
      return value;
    }
    const shown: string = begun ? value : value.trimStart();
    if (shown !== "") write(shown);
    begun ||= shown !== "";
  }
}

function* remarksOn({ end, forgottenMessages }: Answer, contextTokens: number): Generator<string> {
  if (forgottenMessages > 0) {
    yield `the context of ${contextTokens} tokens was full: the first ${forgottenMessages} messages are forgotten`;
  }
  if (end === "context") yield `the context of ${contextTokens} tokens is full: the answer ends here, and older messages will be forgotten`;
  if (end === "length") yield "the answer reached --max-tokens";
}

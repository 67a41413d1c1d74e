import { appendFile } from "node:fs/promises";

import { suggestion } from "../cli/flags.ts";
import type { Conversation } from "./conversation.ts";

interface ChatCommand {
  /** How it is typed, after the slash. */
  readonly usage: string;
  readonly help: string;
  /** @returns what to tell, or null to leave */
  run(conversation: Conversation, argument: string): string | null | Promise<string>;
}

const chatCommands: Readonly<Record<string, ChatCommand>> = {
  help: { usage: "help", help: "show this list", run: () => helpText() },
  reset: {
    usage: "reset", help: "forget the conversation and begin anew",
    run: (conversation) => {
      conversation.reset();
      return "the conversation begins anew";
    },
  },
  save: {
    usage: "save FILE", help: "append the conversation to FILE as a line of JSON, as sft reads it",
    run: save,
  },
  exit: { usage: "exit", help: "leave, as Ctrl-D does", run: () => null },
};

/** Runs a line that begins with a slash. @returns what to tell, or null to leave */
export async function runChatCommand(conversation: Conversation, line: string): Promise<string | null> {
  const [, name, argument] = /^\/(\S*)\s*(.*?)\s*$/.exec(line)!;
  if (Object.hasOwn(chatCommands, name!)) return chatCommands[name!]!.run(conversation, argument!);
  return `there is no /${name}${suggestion(name!, Object.keys(chatCommands))}; /help shows what there is, `
    + "and a space before the slash makes it a question";
}

async function save({ messages }: Conversation, path: string): Promise<string> {
  if (path === "") return "expected a file, as in /save conversation.jsonl";
  if (!messages.some(({ role }) => role === "assistant")) return "there is nothing to save yet";
  try {
    await appendFile(path, `${JSON.stringify({ messages })}\n`);
    return `saved ${messages.length} messages to ${path}`;
  } catch (error) {
    return `not saved: ${(error as Error).message}`;
  }
}

function helpText(): string {
  const width = Math.max(...Object.values(chatCommands).map(({ usage }) => usage.length)) + 4;
  const rows = Object.values(chatCommands).map(({ usage, help }) => `${`/${usage}`.padEnd(width)}${help}`);
  return [...rows, `${"Ctrl-C".padEnd(width)}stop an answer; at an empty prompt leave`].join("\n");
}

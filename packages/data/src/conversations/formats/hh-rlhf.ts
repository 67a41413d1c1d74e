import type { ChatMessage } from "../../chat/messages.ts";
import type { Preference } from "../conversation.ts";
import { type Fields, has, RowProblem, textIn } from "../fields.ts";
import type { RowFormat } from "../format.ts";
import { assistant, user } from "../message-list.ts";
import { parted } from "./pairs.ts";

/** `{ chosen, rejected }`, two transcripts of turns `\n\nHuman: ` and `\n\nAssistant: ` that part at an answer, as
 *  Anthropic's HH-RLHF has it. White space around a turn is not part of it. */
export const hhRlhfFormat: RowFormat<Preference> = {
  name: "hh-rlhf",
  fields: "chosen, rejected",
  recognises: (row) => isTranscript(row, "chosen") && isTranscript(row, "rejected") && !has(row, "prompt"),
  read: (row) => [parted(transcriptIn(row, "chosen"), transcriptIn(row, "rejected"))],
};

const marker = /\n\n(Human|Assistant):/;

function isTranscript(row: Fields, name: string): boolean {
  const text = row[name];
  return typeof text === "string" && text.trimStart().startsWith("Human:");
}

function transcriptIn(row: Fields, name: string): ChatMessage[] {
  const [before = "", ...parts] = textIn(row, name).split(marker);
  if (before.trim() !== "") throw new RowProblem(`${name}: expected a transcript that begins with "\\n\\nHuman:"`);
  const messages: ChatMessage[] = [];
  for (let i = 0; i < parts.length; i += 2) {
    const content = (parts[i + 1] ?? "").trim();
    messages.push(parts[i] === "Human" ? user(content) : assistant(content));
  }
  return messages;
}

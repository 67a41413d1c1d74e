import { describe, isPlainObject } from "../../chat/json.ts";
import type { Conversation, LabelledCompletion } from "../conversation.ts";
import { type Fields, has, RowProblem, toolsIn } from "../fields.ts";
import type { RowFormat } from "../format.ts";
import { messagesIn } from "../message-list.ts";

/** `{ messages: [{ role, content }], tools? }`, as OpenAI's fine-tuning and UltraChat200k have it; also under
 *  `conversation` or `conversations`. */
export const messagesFormat: RowFormat<Conversation> = {
  name: "messages",
  fields: "messages",
  recognises: (row) => listField(row) !== undefined && !isLabelled(row),
  read: (row) => [readChat(row)],
};

/** The same with a verdict, `{ messages, label: true }`, as LLaMA-Factory has it for KTO. */
export const labelledMessagesFormat: RowFormat<LabelledCompletion> = {
  name: "labelled-messages",
  fields: "messages, label",
  recognises: (row) => listField(row) !== undefined && isLabelled(row),
  read: (row) => [labelled(readChat(row), row)],
};

function readChat(row: Fields): Conversation {
  const name = listField(row) ?? "messages";
  return { messages: messagesIn(row[name], name), ...toolsIn(row) };
}

function listField(row: Fields): string | undefined {
  return ["messages", "conversation", "conversations"].find((name) => firstHas(row[name], "role"));
}

/** Whether the first of a list of messages says its speaker in this field. */
export function firstHas(list: unknown, name: string): boolean {
  const first: unknown = Array.isArray(list) ? list[0] : undefined;
  return isPlainObject(first) && has(first, name);
}

/** Whether a row has a verdict on its answer. */
export function isLabelled(row: Fields): boolean {
  return typeof row["label"] === "boolean" || typeof row["kto_tag"] === "boolean";
}

/** A conversation's last answer with the row's verdict. @throws RowProblem */
export function labelled({ messages, ...extras }: Conversation, row: Fields): LabelledCompletion {
  return { prompt: messages.slice(0, -1), completion: messages.slice(-1), label: verdictIn(row), ...extras };
}

/** What a row says of its answer. @throws RowProblem */
export function verdictIn(row: Fields): boolean {
  const label = row["label"] ?? row["kto_tag"];
  if (typeof label === "boolean") return label;
  throw new RowProblem(`field "label": expected true or false, got ${describe(label)}`);
}

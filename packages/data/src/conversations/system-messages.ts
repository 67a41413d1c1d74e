import type { ChatMessage } from "../chat/messages.ts";

/** What becomes of a system message: it stays, goes, or is put before the first message of the user, with a blank line
 *  between, for templates that know no system role. */
export type SystemMessages = "keep" | "drop" | "prepend";

/** Messages with the system message where `choice` has it; one without a visible character is never kept. */
export function placeSystem(messages: readonly ChatMessage[], choice: SystemMessages): readonly ChatMessage[] {
  const [first, second, ...rest] = messages;
  if (first?.role !== "system") return messages;
  const isBlank = first.content.trim() === "";
  if (choice === "keep" && !isBlank) return messages;
  if (second === undefined) return [];
  if (choice !== "prepend" || isBlank || second.role !== "user") return [second, ...rest];
  return [{ ...second, content: `${first.content}\n\n${second.content}` }, ...rest];
}

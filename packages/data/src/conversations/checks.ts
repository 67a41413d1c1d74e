import { describe } from "../chat/json.ts";
import { type ChatMessage, readMessages } from "../chat/messages.ts";
import { DataError } from "../data-error.ts";
import type { Conversation, LabelledCompletion, Preference } from "./conversation.ts";
import { RowProblem } from "./fields.ts";

/** Who may speak after whom; the first message follows `nothing`. */
const followers: Readonly<Record<string, readonly string[]>> = {
  nothing: ["system", "user"],
  system: ["user"],
  user: ["assistant"],
  assistant: ["user", "tool"],
  tool: ["assistant", "tool"],
};

/** @throws RowProblem for a conversation that nothing can be learned from */
export function checkConversation({ messages }: Conversation): void {
  checkMessages(messages, "");
  checkEnd(messages, "");
}

/** @throws RowProblem for a pair that nothing can be learned from */
export function checkPreference({ prompt, chosen, rejected }: Preference): void {
  checkPrompt(prompt);
  checkContinuation(prompt, chosen, "chosen");
  checkContinuation(prompt, rejected, "rejected");
  if (contentsOf(chosen) === contentsOf(rejected)) throw new RowProblem("chosen and rejected are the same");
}

/** @throws RowProblem for a completion that nothing can be learned from */
export function checkLabelled({ prompt, completion }: LabelledCompletion): void {
  checkPrompt(prompt);
  checkContinuation(prompt, completion, "completion");
}

function checkPrompt(prompt: readonly ChatMessage[]): void {
  checkMessages(prompt, "prompt: ");
  const last = prompt[prompt.length - 1]?.role;
  if (last !== "user" && last !== "tool") throw new RowProblem(`the prompt ends with ${last}, nothing is asked`);
}

function checkContinuation(prompt: readonly ChatMessage[], messages: readonly ChatMessage[], name: string): void {
  if (messages.length === 0) throw new RowProblem(`${name} has no messages`);
  checkMessages([...prompt, ...messages], `${name}: `);
  checkEnd(messages, `${name}: `);
}

function checkMessages(messages: readonly ChatMessage[], place: string): void {
  if (messages.length === 0) throw new RowProblem(`${place}there are no messages`);
  try {
    readMessages(messages);
  } catch (error) {
    throw error instanceof DataError ? new RowProblem(`${place}${error.message}`) : error;
  }
  let before = "nothing";
  for (const [index, { role, content, tool_calls: calls }] of messages.entries()) {
    const expected = followers[before] ?? [];
    if (!expected.includes(role)) {
      const after = before === "nothing" ? "at the beginning" : `after ${before}`;
      throw new RowProblem(
        `${place}roles out of order: message ${index} is ${role} ${after}, expected ${expected.join(" or ")}`,
      );
    }
    if (content.trim() === "" && calls === undefined) {
      throw new RowProblem(`${place}message ${index} (${role}) is empty`);
    }
    if (!isWellFormed(content)) {
      throw new RowProblem(`${place}message ${index} (${role}) has a lone surrogate, which no UTF-8 text can hold`);
    }
    before = role;
  }
}

function checkEnd(messages: readonly ChatMessage[], place: string): void {
  const last = messages[messages.length - 1];
  if (last?.role === "assistant") return;
  throw new RowProblem(`${place}the last message is ${describe(last?.role)}, no answer of the assistant follows`);
}

/** Node 20 has the method; the ES2023 library does not declare it yet. */
function isWellFormed(text: string): boolean {
  return (text as string & { isWellFormed(): boolean }).isWellFormed();
}

function contentsOf(messages: readonly ChatMessage[]): string {
  return JSON.stringify(messages.map(({ role, content, tool_calls: calls }) => [role, content.trim(), calls]));
}

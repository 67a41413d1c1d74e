import { describe, isPlainObject } from "../chat/json.ts";
import type { ChatMessage } from "../chat/messages.ts";
import { type Fields, has, parsedJson, RowProblem } from "./fields.ts";

/** Who speaks. */
type Role = "system" | "user" | "assistant" | "tool";

const roles: Readonly<Record<string, Role | "call">> = {
  system: "system",
  developer: "system",
  user: "user",
  human: "user",
  prompter: "user",
  assistant: "assistant",
  gpt: "assistant",
  chatgpt: "assistant",
  bard: "assistant",
  bing: "assistant",
  bot: "assistant",
  model: "assistant",
  tool: "tool",
  function: "tool",
  observation: "tool",
  tool_response: "tool",
  function_response: "tool",
  function_call: "call",
  tool_call: "call",
};

/** Messages from a list of `{ role, content }` or `{ from, value }`, in the names of transformers: `system`, `user`,
 *  `assistant` with `tool_calls`, `tool`. Content may be a list of texts. What is no text is refused.
 *  @param name of the field, for messages about it  @throws RowProblem */
export function messagesIn(value: unknown, name: string): ChatMessage[] {
  if (!Array.isArray(value))
    throw new RowProblem(`field "${name}": expected a list of messages, got ${describe(value)}`);
  return value.map((item: unknown, index) => messageIn(item, `${name}[${index}]`));
}

/** A message from `{ role, content }` or `{ from, value }`. @param place of it, for messages @throws RowProblem */
export function messageIn(item: unknown, place: string): ChatMessage {
  if (!isPlainObject(item)) throw new RowProblem(`${place}: expected a message, got ${describe(item)}`);
  const speaker = item["role"] ?? item["from"];
  const role = typeof speaker === "string" && Object.hasOwn(roles, speaker) ? roles[speaker] : undefined;
  if (role === undefined) {
    throw new RowProblem(`${place}: the role ${describe(speaker)} is none of ${Object.keys(roles).join(", ")}`);
  }
  if (role === "call") return { role: "assistant", content: "", tool_calls: callsIn(contentOf(item, place), place) };
  const calls = role === "assistant" ? toolCallsOf(item, place) : undefined;
  return {
    role,
    content: calls === undefined ? contentOf(item, place) : contentOf({ content: "", ...nonNull(item) }, place),
    ...(calls && { tool_calls: calls }),
    ...(role === "tool" && nonNull({ name: item["name"], tool_call_id: item["tool_call_id"] })),
    ...lossWeightOf(item, role),
  };
}

function contentOf(item: Fields, place: string): string {
  const content = item["content"] ?? item["value"];
  if (typeof content === "string") return content;
  if (!Array.isArray(content)) throw new RowProblem(`${place}: expected content to be text, got ${describe(content)}`);
  return content.map((part: unknown) => partText(part, place)).join("");
}

function partText(part: unknown, place: string): string {
  if (!isPlainObject(part)) throw new RowProblem(`${place}: expected a part of the content, got ${describe(part)}`);
  const text = part["text"] ?? part["value"];
  if (part["type"] === "text" && typeof text === "string") return text;
  throw new RowProblem(
    `${place}: a part of the content is of type ${describe(part["type"])}, only text can be learned`,
  );
}

/** The calls of a message, with arguments as objects, which templates expect. */
function toolCallsOf(item: Fields, place: string): unknown[] | undefined {
  if (has(item, "function_call")) return [callOf(item["function_call"], place)];
  const calls = item["tool_calls"];
  if (!Array.isArray(calls) || calls.length === 0) return undefined;
  return calls.map((call: unknown) => {
    if (!isPlainObject(call)) throw new RowProblem(`${place}: expected a call, got ${describe(call)}`);
    return has(call, "function") ? { ...nonNull(call), ...callOf(call["function"], place) } : callOf(call, place);
  });
}

/** Calls from JSON: one, or a list. */
function callsIn(text: string, place: string): unknown[] {
  const parsed = parsedJson(text);
  return (Array.isArray(parsed) ? parsed : [parsed]).map((call: unknown) => callOf(call, place));
}

function callOf(call: unknown, place: string): { type: string; function: { name: string; arguments: unknown } } {
  if (!isPlainObject(call) || typeof call["name"] !== "string") {
    throw new RowProblem(`${place}: expected a call as JSON of name and arguments, got ${describe(call)}`);
  }
  const given = call["arguments"] ?? {};
  const parsed = typeof given === "string" ? parsedJson(given) : given;
  return { type: "function", function: { name: call["name"], arguments: parsed } };
}

function lossWeightOf(item: Fields, role: Role): { readonly lossWeight?: number } {
  const weight = item["loss_weight"] ?? item["weight"];
  if (typeof weight !== "number" || weight === (role === "assistant" ? 1 : 0)) return {};
  return { lossWeight: weight };
}

/** Without the fields that hold nothing, which Parquet gives to every row. */
function nonNull(fields: Fields): Record<string, unknown> {
  return Object.fromEntries(Object.entries(fields).filter(([, value]) => (value ?? null) !== null));
}

/** A message of the user. */
export function user(content: string): ChatMessage {
  return { role: "user", content };
}

/** A message of the assistant. */
export function assistant(content: string): ChatMessage {
  return { role: "assistant", content };
}

/** A system message, or none where there is nothing in it. */
export function system(content: string): ChatMessage[] {
  return content.trim() === "" ? [] : [{ role: "system", content }];
}

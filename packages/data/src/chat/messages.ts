import { DataError } from "../data-error.ts";
import { describe, isPlainObject, problemOfJson } from "./json.ts";

/** One message of a conversation. Fields beyond these two, as `tool_calls`, are for the template. */
export interface ChatMessage {
  /** Who speaks: `system`, `user`, `assistant`, `tool`, or another name that the template knows. */
  readonly role: string;
  readonly content: string;
  readonly [field: string]: unknown;
}

/** Most messages of one conversation. */
const mostMessages = 1_000;
/** Longest content, in code units. */
const longestContent = 4_194_304;
/** Templates write roles as they are, so that a role with other characters could forge a message. */
const roleName = /^[A-Za-z][A-Za-z0-9_-]{0,31}$/;

/** Checks that a value, as JSON gives it, is a conversation.
 *  @throws DataError `bad-messages` with the index of the message, from 0 */
export function readMessages(value: unknown): readonly ChatMessage[] {
  if (!Array.isArray(value)) throw bad(`messages: expected an array, got ${describe(value)}`);
  if (value.length > mostMessages) {
    throw bad(`messages: expected at most ${mostMessages}, got ${value.length}`);
  }
  return value.map((message: unknown, index) => readMessage(message, index));
}

function readMessage(message: unknown, index: number): ChatMessage {
  if (!isPlainObject(message)) {
    throw bad(`message ${index}: expected an object with role and content, got ${describe(message)}`, index);
  }
  const { role, content } = message;
  if (typeof role !== "string" || !roleName.test(role)) {
    const expected = `a name of up to 32 letters, digits, "_" and "-"`;
    throw bad(`message ${index}: expected role to be ${expected}, got ${describe(role)}`, index);
  }
  if (typeof content !== "string") {
    throw bad(`message ${index}: expected content to be a string, got ${describe(content)}`, index);
  }
  if (content.length > longestContent) {
    const message = `expected content of at most ${longestContent} characters, got ${content.length}`;
    throw bad(`message ${index}: ${message}`, index);
  }
  const problem = problemOfJson(message);
  if (problem !== undefined) throw bad(`message ${index}: expected what JSON can hold, this one ${problem}`, index);
  return message as ChatMessage;
}

function bad(message: string, index?: number): DataError {
  return new DataError("bad-messages", message, index === undefined ? {} : { index });
}

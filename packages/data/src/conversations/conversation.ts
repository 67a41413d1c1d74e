import type { ChatMessage } from "../chat/messages.ts";

/** What every example may have besides its messages. */
export interface ExampleExtras {
  /** Functions that the assistant may call, for `tools` of the template. */
  readonly tools?: readonly unknown[];
  /** What examples of one origin share: a split keeps them together. Without it, the first message of the user is. */
  readonly group?: string;
}

/** A conversation to learn the assistant's answers from; `encodeChat(tokenizer, template, messages)` is the next step.
 *  Roles are `system` (first, if at all), `user`, `assistant` and `tool`, in an order that makes sense; no turn is
 *  empty, and the last is the assistant's. A message has `lossWeight` where its row gives it another weight than the
 *  usual 1 for the assistant's and 0 for others'. */
export interface Conversation extends ExampleExtras {
  readonly messages: readonly ChatMessage[];
}

/** Two ways on from one prompt, of which the first is better. Both begin and end with a message of the assistant. */
export interface Preference extends ExampleExtras {
  /** Ends with a message of the user or a tool. */
  readonly prompt: readonly ChatMessage[];
  readonly chosen: readonly ChatMessage[];
  readonly rejected: readonly ChatMessage[];
  /** Score of the chosen less that of the rejected, in the unit of the data set, where it gives them. */
  readonly margin?: number;
}

/** A way on from a prompt, with a verdict on it. */
export interface LabelledCompletion extends ExampleExtras {
  /** Ends with a message of the user or a tool. */
  readonly prompt: readonly ChatMessage[];
  /** Begins and ends with a message of the assistant. */
  readonly completion: readonly ChatMessage[];
  /** Whether it is wanted. */
  readonly label: boolean;
}

/** Where an example stands. */
export interface Origin {
  /** File. */
  readonly source: string;
  /** Line on which its row begins, or number of the row in a Parquet file, from 1. */
  readonly line: number;
}

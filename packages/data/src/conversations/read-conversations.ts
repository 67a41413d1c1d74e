import { checkConversation } from "./checks.ts";
import type { Conversation, Origin } from "./conversation.ts";
import type { ExampleKind, ExampleOptions } from "./example-options.ts";
import { conversationFormats } from "./known-formats.ts";
import { readExamples } from "./read-examples.ts";
import { groupOf } from "./split.ts";
import { placeSystem } from "./system-messages.ts";

/** What makes checked conversations of rows. */
export const conversations: ExampleKind<Conversation> = {
  reader: "readConversations",
  formats: conversationFormats,
  finish: (conversation, system) => {
    const placed = { ...conversation, messages: placeSystem(conversation.messages, system) };
    checkConversation(placed);
    return placed;
  },
  group: ({ group, messages }) => groupOf(group, messages),
};

/** Conversations of JSONL, JSON and Parquet files, plain or gzip, and of data sets of the Hugging Face hub
 *  (`hf:owner/name`). The format of each file is recognised by its rows. A row that nothing can be learned from is an
 *  error, or counted and written to the quarantine file.
 *  @throws DataError `bad-row` as `file:line: reason`, `unknown-format`, `bad-option`, `not-found`, `unreadable`,
 *  `empty-corpus`, `bad-gzip`, `bad-parquet`, `inflation-limit`, and those of the hub */
export function readConversations(
  paths: readonly string[],
  options: ExampleOptions = {},
): AsyncGenerator<Conversation & Origin, void, undefined> {
  return readExamples(paths, options, conversations);
}

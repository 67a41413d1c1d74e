import type { ChatMessage } from "../chat/messages.ts";
import type { Origin } from "../conversations/conversation.ts";
import type { ExampleOptions } from "../conversations/example-options.ts";
import { readConversations } from "../conversations/read-conversations.ts";
import { readLabelled } from "../conversations/read-labelled.ts";
import { readPreferences } from "../conversations/read-preferences.ts";
import type { ExampleKindName } from "./recognise-examples.ts";

/** Messages that become one sequence of tokens. */
export interface NamedSequence {
  /** `conversation`; `chosen` and `rejected`; `wanted` or `unwanted`. */
  readonly name: string;
  readonly messages: readonly ChatMessage[];
  /** Messages at its beginning that are given, so that no answer among them is trained. */
  readonly promptMessages: number;
  /** Functions that the template is told of. */
  readonly tools: readonly unknown[] | undefined;
}

/** What an example trains on. */
export interface ExampleSequences extends Origin {
  readonly sequences: readonly NamedSequence[];
}

/** Reads files of any kind as sequences. @throws DataError as the reader of the kind */
export async function* readSequences(
  paths: readonly string[],
  kind: ExampleKindName,
  options: ExampleOptions,
): AsyncGenerator<ExampleSequences, void, undefined> {
  if (kind === "conversations") {
    for await (const { source, line, messages, tools } of readConversations(paths, options)) {
      yield { source, line, sequences: [{ name: "conversation", messages, promptMessages: 0, tools }] };
    }
  } else if (kind === "preferences") {
    for await (const { source, line, prompt, chosen, rejected, tools } of readPreferences(paths, options)) {
      const sequences = [continued("chosen", prompt, chosen, tools), continued("rejected", prompt, rejected, tools)];
      yield { source, line, sequences };
    }
  } else {
    for await (const { source, line, prompt, completion, label, tools } of readLabelled(paths, options)) {
      yield { source, line, sequences: [continued(label ? "wanted" : "unwanted", prompt, completion, tools)] };
    }
  }
}

function continued(
  name: string, prompt: readonly ChatMessage[], answer: readonly ChatMessage[], tools: readonly unknown[] | undefined,
): NamedSequence {
  return { name, messages: [...prompt, ...answer], promptMessages: prompt.length, tools };
}

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
    for await (const { source, line, messages } of readConversations(paths, options)) {
      yield { source, line, sequences: [{ name: "conversation", messages, promptMessages: 0 }] };
    }
  } else if (kind === "preferences") {
    for await (const { source, line, prompt, chosen, rejected } of readPreferences(paths, options)) {
      const sequences = [continued("chosen", prompt, chosen), continued("rejected", prompt, rejected)];
      yield { source, line, sequences };
    }
  } else {
    for await (const { source, line, prompt, completion, label } of readLabelled(paths, options)) {
      yield { source, line, sequences: [continued(label ? "wanted" : "unwanted", prompt, completion)] };
    }
  }
}

function continued(name: string, prompt: readonly ChatMessage[], answer: readonly ChatMessage[]): NamedSequence {
  return { name, messages: [...prompt, ...answer], promptMessages: prompt.length };
}

import type { Conversation, Origin } from "../conversations/conversation.ts";
import type { ExampleKind, ExampleOptions } from "../conversations/example-options.ts";
import { conversations } from "../conversations/read-conversations.ts";
import { readExamples } from "../conversations/read-examples.ts";
import { encodeExample, type TrainingEncoding, type TrainingSequence } from "./encode-example.ts";

/** A conversation as supervised fine-tuning takes it. */
export interface TrainingChat {
  readonly chat: TrainingSequence;
  /** What a split keeps together; see `isHeldOut`. */
  readonly group: string;
}

/** Conversations as token ids with their masks, read as `readConversations` reads them. One that the template refuses,
 *  or in which nothing can be trained within `maxLength` tokens, is a bad row too.
 *  @throws DataError as `readConversations`; `bad-template`, `bad-option` */
export function readTrainingChats(
  paths: readonly string[],
  encoding: TrainingEncoding,
  options: ExampleOptions = {},
): AsyncGenerator<TrainingChat & Origin, void, undefined> {
  const kind: ExampleKind<Conversation, TrainingChat> = {
    ...conversations,
    finish: (example, system) => {
      const finished = conversations.finish(example, system);
      const chat = encodeExample(finished.messages, 0, finished.tools, encoding, "conversation");
      return { chat, group: conversations.group(finished) };
    },
    group: ({ group }) => group,
  };
  return readExamples(paths, options, kind);
}

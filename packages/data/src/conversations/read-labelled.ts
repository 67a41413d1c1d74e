import { checkLabelled } from "./checks.ts";
import type { LabelledCompletion, Origin } from "./conversation.ts";
import type { ExampleKind, ExampleOptions } from "./example-options.ts";
import { labelledFormats } from "./known-formats.ts";
import { readExamples } from "./read-examples.ts";
import { groupOf } from "./split.ts";
import { placeSystem } from "./system-messages.ts";

const labelledCompletions: ExampleKind<LabelledCompletion> = {
  reader: "readLabelled",
  formats: labelledFormats,
  finish: (example, system) => {
    const placed = { ...example, prompt: placeSystem(example.prompt, system) };
    checkLabelled(placed);
    return placed;
  },
  group: ({ group, prompt }) => groupOf(group, prompt),
};

/** Completions with a verdict on each, for KTO, read as {@link readConversations} reads conversations.
 *  @throws DataError as readConversations */
export function readLabelled(
  paths: readonly string[],
  options: ExampleOptions = {},
): AsyncGenerator<LabelledCompletion & Origin, void, undefined> {
  return readExamples(paths, options, labelledCompletions);
}

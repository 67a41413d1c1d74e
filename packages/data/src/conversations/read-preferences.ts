import { checkPreference } from "./checks.ts";
import type { Origin, Preference } from "./conversation.ts";
import type { ExampleKind, ExampleOptions } from "./example-options.ts";
import { preferenceFormats } from "./known-formats.ts";
import { readExamples } from "./read-examples.ts";
import { groupOf } from "./split.ts";
import { placeSystem } from "./system-messages.ts";

/** What makes checked pairs of rows. */
export const preferences: ExampleKind<Preference> = {
  reader: "readPreferences",
  formats: preferenceFormats,
  finish: (preference, system) => {
    const placed = { ...preference, prompt: placeSystem(preference.prompt, system) };
    checkPreference(placed);
    return placed;
  },
  group: ({ group, prompt }) => groupOf(group, prompt),
};

/** Pairs of a better and a worse way on from one prompt, read as {@link readConversations} reads conversations.
 *  @throws DataError as readConversations */
export function readPreferences(
  paths: readonly string[],
  options: ExampleOptions = {},
): AsyncGenerator<Preference & Origin, void, undefined> {
  return readExamples(paths, options, preferences);
}

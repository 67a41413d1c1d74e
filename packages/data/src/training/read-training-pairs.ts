import type { ChatMessage } from "../chat/messages.ts";
import type { Origin, Preference } from "../conversations/conversation.ts";
import type { ExampleKind, ExampleOptions } from "../conversations/example-options.ts";
import { readExamples } from "../conversations/read-examples.ts";
import { preferences } from "../conversations/read-preferences.ts";
import { checkDiffer, encodeExample, type TrainingEncoding, type TrainingSequence } from "./encode-example.ts";

/** A pair as preference tuning takes it: in both, the answers that follow the prompt are trained. */
export interface TrainingPair {
  readonly chosen: TrainingSequence;
  readonly rejected: TrainingSequence;
  /** What a split keeps together; see `isHeldOut`. */
  readonly group: string;
}

/** Pairs as token ids with their masks, read as `readPreferences` reads them. One that the template refuses, in which
 *  nothing can be trained within `maxLength` tokens, or whose answers are the same up to there, is a bad row too.
 *  @throws DataError as `readPreferences`; `bad-template`, `bad-option` */
export function readTrainingPairs(
  paths: readonly string[],
  encoding: TrainingEncoding,
  options: ExampleOptions = {},
): AsyncGenerator<TrainingPair & Origin, void, undefined> {
  const kind: ExampleKind<Preference, TrainingPair> = {
    ...preferences,
    finish: (example, system) => {
      const finished = preferences.finish(example, system);
      const { prompt, tools } = finished;
      const side = (name: "chosen" | "rejected"): TrainingSequence => {
        const messages: readonly ChatMessage[] = [...prompt, ...finished[name]];
        return encodeExample(messages, prompt.length, tools, encoding, name);
      };
      const [chosen, rejected] = [side("chosen"), side("rejected")];
      checkDiffer(chosen, rejected, encoding.maxLength);
      return { chosen, rejected, group: preferences.group(finished) };
    },
    group: ({ group }) => group,
  };
  return readExamples(paths, options, kind);
}

import type { Conversation, LabelledCompletion, Preference } from "./conversation.ts";
import type { Fields } from "./fields.ts";
import type { Format } from "./format.ts";
import { hhRlhfFormat } from "./formats/hh-rlhf.ts";
import { alpacaFormat, gpTeacherFormat } from "./formats/instruction.ts";
import { labelledMessagesFormat, messagesFormat } from "./formats/messages.ts";
import { oasstFlatFormat, oasstFlatPairFormat } from "./formats/oasst-flat.ts";
import { oasstNodeFormat, oasstNodePairFormat, oasstTreeFormat, oasstTreePairFormat } from "./formats/oasst.ts";
import { alpacaPairFormat, chosenRejectedFormat, distilabelPairFormat, orcaPairFormat } from "./formats/pairs.ts";
import { labelledCompletionFormat, metaMathFormat, multipleChoiceFormat } from "./formats/prompt-completion.ts";
import { openOrcaFormat, promptCompletionFormat } from "./formats/prompt-completion.ts";
import { labelledShareGptFormat, shareGptFormat, shareGptPairFormat } from "./formats/sharegpt.ts";

/** Formats of conversations, the first that recognises a row wins. */
export const conversationFormats: readonly Format<Conversation>[] = [
  messagesFormat,
  shareGptFormat,
  oasstTreeFormat,
  oasstNodeFormat,
  oasstFlatFormat,
  alpacaFormat,
  gpTeacherFormat,
  openOrcaFormat,
  metaMathFormat,
  multipleChoiceFormat,
  promptCompletionFormat,
];

/** Formats of preferences. */
export const preferenceFormats: readonly Format<Preference>[] = [
  hhRlhfFormat,
  chosenRejectedFormat,
  orcaPairFormat,
  distilabelPairFormat,
  alpacaPairFormat,
  shareGptPairFormat,
  oasstTreePairFormat,
  oasstNodePairFormat,
  oasstFlatPairFormat,
];

/** Formats of completions with a verdict. */
export const labelledFormats: readonly Format<LabelledCompletion>[] = [
  labelledMessagesFormat,
  labelledShareGptFormat,
  labelledCompletionFormat,
];

/** Names for the option `format` of each reader. */
export interface FormatNames {
  readonly readConversations: readonly string[];
  readonly readPreferences: readonly string[];
  readonly readLabelled: readonly string[];
}

const namesIn = (formats: readonly { readonly name: string }[]): string[] => formats.map(({ name }) => name);

/** The formats that are known. */
export const formatNames: FormatNames = {
  readConversations: namesIn(conversationFormats),
  readPreferences: namesIn(preferenceFormats),
  readLabelled: namesIn(labelledFormats),
};

/** What a row would be read with, if not with the reader at hand. */
export function otherReaderOf(row: Fields, reader: string): { readonly reader: string; readonly format: string } | undefined {
  const readers = {
    readConversations: conversationFormats,
    readPreferences: preferenceFormats,
    readLabelled: labelledFormats,
  };
  for (const [name, formats] of Object.entries<readonly Format<unknown>[]>(readers)) {
    const format = name === reader ? undefined : formats.find(({ recognises }) => recognises(row));
    if (format !== undefined) return { reader: name, format: format.name };
  }
  return undefined;
}

import type { Conversation, LabelledCompletion, Preference } from "../conversation.ts";
import { type Fields, has, marginIn, optionalText, toolsIn } from "../fields.ts";
import type { RowFormat } from "../format.ts";
import { messageIn, messagesIn, system } from "../message-list.ts";
import { firstHas, isLabelled, labelled } from "./messages.ts";

/** `{ conversations: [{ from: "human", value }, { from: "gpt", value }], system?, tools? }`, as ShareGPT, Vicuna and
 *  LLaMA-Factory have it; calls of functions are JSON in turns of `function_call`, results turns of `observation`. */
export const shareGptFormat: RowFormat<Conversation> = {
  name: "sharegpt",
  fields: "conversations",
  recognises: (row) => isShareGpt(row) && !has(row, "chosen") && !isLabelled(row),
  read: (row) => [readTurns(row)],
};

/** The same with `chosen` and `rejected`, a turn each, as LLaMA-Factory has it for DPO. */
export const shareGptPairFormat: RowFormat<Preference> = {
  name: "sharegpt-pair",
  fields: "conversations, chosen, rejected",
  recognises: (row) => isShareGpt(row) && has(row, "chosen", "rejected"),
  read: (row) => {
    const { messages: prompt, ...extras } = readTurns(row);
    const chosen = [messageIn(row["chosen"], "chosen")];
    return [{ prompt, chosen, rejected: [messageIn(row["rejected"], "rejected")], ...extras, ...marginIn(row) }];
  },
};

/** The same with a verdict, `kto_tag`. */
export const labelledShareGptFormat: RowFormat<LabelledCompletion> = {
  name: "labelled-sharegpt",
  fields: "conversations, kto_tag",
  recognises: (row) => isShareGpt(row) && isLabelled(row),
  read: (row) => [labelled(readTurns(row), row)],
};

function isShareGpt(row: Fields): boolean {
  return firstHas(row["conversations"], "from");
}

function readTurns(row: Fields): Conversation {
  const turns = messagesIn(row["conversations"], "conversations");
  return { messages: [...system(optionalText(row, "system")), ...turns], ...toolsIn(row) };
}

import { describe } from "../../chat/json.ts";
import type { ChatMessage } from "../../chat/messages.ts";
import type { Conversation, LabelledCompletion } from "../conversation.ts";
import { type Fields, has, optionalText, RowProblem, textIn, toolsIn } from "../fields.ts";
import type { RowFormat } from "../format.ts";
import { assistant, messagesIn, system, user } from "../message-list.ts";
import { isLabelled, verdictIn } from "./messages.ts";

const pairs = [
  ["prompt", "completion"],
  ["prompt", "response"],
  ["question", "response"],
  ["question", "answer"],
] as const;

/** A question and its answer: `prompt` with `completion` or `response`, `question` with `response` or `answer`, texts
 *  or lists of messages. */
export const promptCompletionFormat: RowFormat<Conversation> = {
  name: "prompt-completion",
  fields: pairs.map((names) => names.join(", ")).join("; "),
  recognises: (row) => pairOf(row) !== undefined && !has(row, "system_prompt") && !isLabelled(row),
  read: (row) => {
    const { prompt, completion } = readPair(row);
    return [{ messages: [...prompt, ...completion], ...toolsIn(row) }];
  },
};

/** The same with a verdict, `label`, as TRL has it for KTO. */
export const labelledCompletionFormat: RowFormat<LabelledCompletion> = {
  name: "labelled-completion",
  fields: "prompt, completion, label",
  recognises: (row) => pairOf(row) !== undefined && isLabelled(row),
  read: (row) => [{ ...readPair(row), label: verdictIn(row), ...toolsIn(row) }],
};

/** `{ system_prompt, question, response }`, as OpenOrca has it. */
export const openOrcaFormat: RowFormat<Conversation> = {
  name: "open-orca",
  fields: "system_prompt, question, response",
  recognises: (row) => has(row, "system_prompt", "question", "response"),
  read: (row) => {
    const prompt = [...system(optionalText(row, "system_prompt")), user(textIn(row, "question"))];
    return [{ messages: [...prompt, assistant(textIn(row, "response"))] }];
  },
};

/** `{ query, response, original_question }`, as MetaMathQA has it. A split keeps rows made of one question together. */
export const metaMathFormat: RowFormat<Conversation> = {
  name: "metamath",
  fields: "query, response",
  recognises: (row) => has(row, "query", "response"),
  read: (row) => {
    const messages = [user(textIn(row, "query")), assistant(textIn(row, "response"))];
    const group = optionalText(row, "original_question");
    return [{ messages, ...(group !== "" && { group }) }];
  },
};

/** `{ query, choices, gold }`: a question with several answers, `gold` the index of the right one. */
export const multipleChoiceFormat: RowFormat<Conversation> = {
  name: "multiple-choice",
  fields: "query, choices, gold",
  recognises: (row) => has(row, "query", "choices", "gold"),
  read: (row) => {
    const { choices, gold } = row;
    const right: unknown = Array.isArray(choices) && typeof gold === "number" ? choices[gold] : undefined;
    if (typeof right === "string") return [{ messages: [user(textIn(row, "query")), assistant(right)] }];
    throw new RowProblem(`field "gold": expected the index of a text in choices, got ${describe(gold)}`);
  },
};

function pairOf(row: Fields): readonly [string, string] | undefined {
  return pairs.find((names) => has(row, ...names));
}

function readPair(row: Fields): { prompt: ChatMessage[]; completion: ChatMessage[] } {
  const [prompt, completion] = pairOf(row) ?? pairs[0];
  return { prompt: turnsIn(row, prompt, user), completion: turnsIn(row, completion, assistant) };
}

/** A text as one message, or a list of messages. @throws RowProblem */
function turnsIn(row: Fields, name: string, message: (content: string) => ChatMessage): ChatMessage[] {
  return Array.isArray(row[name]) ? messagesIn(row[name], name) : [message(textIn(row, name))];
}

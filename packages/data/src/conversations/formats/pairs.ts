import { isPlainObject } from "../../chat/json.ts";
import type { ChatMessage } from "../../chat/messages.ts";
import type { Preference } from "../conversation.ts";
import { type Fields, has, marginIn, optionalText, RowProblem, textIn, toolsIn } from "../fields.ts";
import type { RowFormat } from "../format.ts";
import { assistant, messageIn, messagesIn, system, user } from "../message-list.ts";
import { instructionPrompt } from "./instruction.ts";

/** `{ prompt, chosen, rejected, score_chosen?, score_rejected? }`, as UltraFeedback-binarized and TRL have it. The
 *  prompt is text or messages; chosen and rejected are texts, messages, or whole dialogues that begin with the prompt,
 *  which then may be left out. */
export const chosenRejectedFormat: RowFormat<Preference> = {
  name: "chosen-rejected",
  fields: "prompt, chosen, rejected",
  recognises: (row) =>
    has(row, "chosen", "rejected") &&
    (has(row, "prompt") || Array.isArray(row["chosen"])) &&
    !has(row, "conversations"),
  read: (row) => [{ ...readPair(row), ...marginIn(row), ...toolsIn(row) }],
};

/** `{ system, question, chosen, rejected }`, as Orca DPO pairs have it; Argilla's have `input` for `question`. */
export const orcaPairFormat: RowFormat<Preference> = {
  name: "orca-pair",
  fields: "system, question, chosen, rejected",
  recognises: (row) => has(row, "chosen", "rejected") && !has(row, "instruction") && orcaQuestion(row) !== undefined,
  read: (row) => {
    const question = textIn(row, orcaQuestion(row) ?? "question");
    const prompt = [...system(optionalText(row, "system")), user(question)];
    return [{ prompt, ...textPair(row, "chosen", "rejected"), ...marginIn(row) }];
  },
};

/** `{ instruction, chosen_response, rejected_response, chosen_rating, rejected_rating }`, as Distilabel Math has it. */
export const distilabelPairFormat: RowFormat<Preference> = {
  name: "distilabel-pair",
  fields: "instruction, chosen_response, rejected_response",
  recognises: (row) => has(row, "instruction", "chosen_response", "rejected_response"),
  read: (row) => {
    const prompt = [user(textIn(row, "instruction"))];
    return [{ prompt, ...textPair(row, "chosen_response", "rejected_response"), ...marginIn(row) }];
  },
};

/** `{ instruction, input, chosen, rejected }`, as LLaMA-Factory has it for DPO. */
export const alpacaPairFormat: RowFormat<Preference> = {
  name: "alpaca-pair",
  fields: "instruction, chosen, rejected",
  recognises: (row) => has(row, "instruction", "chosen", "rejected"),
  read: (row) => [{ prompt: instructionPrompt(row), ...textPair(row, "chosen", "rejected"), ...marginIn(row) }],
};

function textPair(row: Fields, chosen: string, rejected: string): Pick<Preference, "chosen" | "rejected"> {
  return { chosen: [assistant(textIn(row, chosen))], rejected: [assistant(textIn(row, rejected))] };
}

function orcaQuestion(row: Fields): string | undefined {
  return ["question", "input"].find((name) => has(row, name));
}

function readPair(row: Fields): Preference {
  const chosen = continuationIn(row, "chosen");
  const rejected = continuationIn(row, "rejected");
  if (!has(row, "prompt") || chosen[0]?.role !== "assistant") return parted(chosen, rejected);
  const { prompt } = row;
  return {
    prompt: Array.isArray(prompt) ? messagesIn(prompt, "prompt") : [user(textIn(row, "prompt"))],
    chosen,
    rejected,
  };
}

function continuationIn(row: Fields, name: string): ChatMessage[] {
  const value = row[name];
  if (Array.isArray(value)) return messagesIn(value, name);
  return [isPlainObject(value) ? messageIn(value, name) : assistant(textIn(row, name))];
}

/** Two dialogues as a prompt, which is what they begin with in common, and the rest of each.
 *  @throws RowProblem where they part at another place than an answer of the assistant */
export function parted(chosen: readonly ChatMessage[], rejected: readonly ChatMessage[]): Preference {
  let common = 0;
  while (common < Math.min(chosen.length, rejected.length) && isSame(chosen[common], rejected[common])) common++;
  const [first, second] = [chosen[common], rejected[common]];
  if (first === undefined && second === undefined) throw new RowProblem("chosen and rejected are the same");
  for (const [name, message] of Object.entries({ chosen: first, rejected: second })) {
    if (message === undefined) throw new RowProblem(`${name} ends where the other dialogue goes on`);
    if (message.role === "assistant") continue;
    throw new RowProblem(
      `chosen and rejected part at message ${common}, of ${message.role} in ${name}: expected assistant`,
    );
  }
  return { prompt: chosen.slice(0, common), chosen: chosen.slice(common), rejected: rejected.slice(common) };
}

function isSame(a: ChatMessage | undefined, b: ChatMessage | undefined): boolean {
  return JSON.stringify(a) === JSON.stringify(b);
}

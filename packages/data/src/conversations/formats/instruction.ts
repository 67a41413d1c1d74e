import type { ChatMessage } from "../../chat/messages.ts";
import { describe } from "../../chat/json.ts";
import type { Conversation } from "../conversation.ts";
import { type Fields, has, optionalText, RowProblem, textIn } from "../fields.ts";
import type { RowFormat } from "../format.ts";
import { assistant, system, user } from "../message-list.ts";

/** `{ instruction, input, output, system?, history? }`, as Alpaca and LLaMA-Factory have it. The input follows the
 *  instruction after a blank line; history is a list of earlier `[question, answer]`. */
export const alpacaFormat: RowFormat<Conversation> = instructionFormat("alpaca", "output");

/** `{ instruction, input, response }`, as GPTeacher has it, and Dolly with `context` for `input`. */
export const gpTeacherFormat: RowFormat<Conversation> = instructionFormat("gpteacher", "response");

function instructionFormat(name: string, answer: string): RowFormat<Conversation> {
  return {
    name,
    fields: `instruction, ${answer}`,
    recognises: (row) => has(row, "instruction", answer) && !has(row, "chosen"),
    read: (row) => [{ messages: [...instructionPrompt(row), assistant(textIn(row, answer))] }],
  };
}

/** Messages up to the answer of a row with an instruction. @throws RowProblem */
export function instructionPrompt(row: Fields): ChatMessage[] {
  const input = optionalText(row, has(row, "context") ? "context" : "input");
  const parts = [textIn(row, "instruction"), input].filter((part) => part.trim() !== "");
  return [...system(optionalText(row, "system")), ...historyIn(row), user(parts.join("\n\n"))];
}

function historyIn(row: Fields): ChatMessage[] {
  if (!has(row, "history")) return [];
  const history = row["history"];
  if (!Array.isArray(history)) throw new RowProblem(`field "history": expected a list, got ${describe(history)}`);
  return history.flatMap((pair: unknown, index) => {
    const [question, answer] = Array.isArray(pair) ? (pair as unknown[]) : [];
    if (typeof question === "string" && typeof answer === "string") return [user(question), assistant(answer)];
    throw new RowProblem(`history[${index}]: expected a question and an answer, got ${describe(pair)}`);
  });
}

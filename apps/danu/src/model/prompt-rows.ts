import { DataError, type ChatMessage, type ChatTemplate } from "@danu/data";
import type { Decoder } from "@danu/model";
import type { Tokenizer } from "@danu/tokenizer";

import { InputError } from "../cli/errors.ts";
import { readText } from "../cli/read-file.ts";
import { checkIds, encodeMessages, encodePrompt, type EncodedPrompt } from "./prompt.ts";

/** What a prompt may say: a text, or a conversation up to the answer that is wanted. */
export type PromptRow = { readonly prompt: string } | { readonly messages: readonly ChatMessage[] };

/** A row of a file of prompts. */
export interface EncodedRow {
  /** As it was read, a line of text as `{ prompt }`. */
  readonly row: PromptRow;
  readonly encoded: EncodedPrompt;
}

/** How prompts become ids. */
export interface PromptOptions {
  readonly tokenizer: Tokenizer;
  /** For conversations. */
  readonly template: ChatTemplate;
  readonly decoder: Decoder;
  /** Makes every text a question. */
  readonly chat: boolean;
}

/** Reads a file of prompts, all of them before the first is continued: JSONL with `prompt` or `messages` in a row, or a
 *  text a line in a file of another name. Empty lines do not count.
 *  @throws InputError with file and line for a row that is none, or whose ids do not fit the model */
export async function readPromptRows(path: string, options: PromptOptions): Promise<EncodedRow[]> {
  const isJson = /\.(jsonl|ndjson)$/.test(path);
  const rows: EncodedRow[] = [];
  for (const [index, line] of (await readText(path)).split(/\r?\n/).entries()) {
    if (line.trim() === "") continue;
    try {
      const row = isJson ? parseRow(line) : { prompt: line };
      rows.push({ row, encoded: encodeRow(row, options) });
    } catch (error) {
      if (!(error instanceof InputError || error instanceof DataError || error instanceof SyntaxError)) throw error;
      throw new InputError(`${path}:${index + 1}: ${error.message}`);
    }
  }
  if (rows.length === 0) throw new InputError(`${path}: expected prompts, got an empty file`);
  return rows;
}

function parseRow(line: string): PromptRow {
  const value: unknown = JSON.parse(line);
  if (typeof value === "string") return { prompt: value };
  const { prompt, messages } = (value ?? {}) as { prompt?: unknown; messages?: unknown };
  if (typeof prompt === "string" || Array.isArray(messages)) return value as PromptRow;
  throw new InputError(`expected a row with "prompt", a text, or "messages", a list, got ${line.slice(0, 60)}`);
}

/** Ids of a prompt. @throws InputError, DataError */
export function encodeRow(row: PromptRow, { tokenizer, template, decoder, chat }: PromptOptions): EncodedPrompt {
  const messages = "messages" in row ? row.messages : chat ? [{ role: "user", content: row.prompt }] : null;
  const encoded = messages === null
    ? encodePrompt(tokenizer, (row as { prompt: string }).prompt)
    : encodeMessages(tokenizer, template, messages);
  checkIds(encoded.ids, decoder);
  return encoded;
}

import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { loadTokenizer, type Tokenizer } from "@danu/tokenizer";
import { expect, test } from "vitest";
import { danubeTemplate, encodeChat, readConversations } from "../src/index.ts";
import { shared } from "./support.ts";

const data = join(shared, "data");

// Needs real conversations and Llama 2's tokenizer beside the repository.
test.skipIf(!existsSync(data))("50 real conversations have the labels of H2O LLM Studio", async () => {
  const tokenizer = loadTokenizer(readFileSync(join(data, "tokenizers/llama2/tokenizer.model")));
  let seen = 0;
  let multiTurn = 0;
  for await (const { messages } of readConversations([join(data, "sft/oasst/en_100_tree.jsonl")])) {
    // There every prompt, with the marker of the answer at its end, and every answer with its end mark is encoded on
    // its own; prompts have no labels. The template strips, so that white space at the ends is no difference here.
    const labelled = messages.flatMap(({ role, content }) => {
      const [text, trained] = role === "user" ? [`<|prompt|>${content.trim()}</s><|answer|>`, 0] : [`${content.trim()}</s>`, 1];
      return [...tokenizer.encode(text, { addBos: false, parseSpecial: true })].map((id) => [id, trained] as const);
    });
    const chat = encodeChat(tokenizer, danubeTemplate, messages);
    const found = [...chat.ids].map((id, i) => [id, chat.trained[i]!] as const);
    expect(charactersOf(tokenizer, found)).toEqual(charactersOf(tokenizer, labelled));
    // An answer alone begins with a space, which generation behind the prompt does not write: it costs a token at most.
    expect(Math.abs(found.length - labelled.length)).toBeLessThanOrEqual(messages.length);
    if (messages.length > 2) multiTurn++;
    if (++seen === 50) break;
  }
  expect(seen).toBe(50);
  expect(multiTurn).toBeGreaterThan(20);
});

/** The characters of pieces, each with the mark of its token; spaces, of which every stretch may begin with one, are
 *  left out. */
function charactersOf(tokenizer: Tokenizer, tokens: readonly (readonly [id: number, trained: number])[]): string[] {
  return tokens.flatMap(([id, trained]) => (
    [...tokenizer.pieces[id]!].filter((character) => character !== "▁").map((character) => `${character}${trained}`)
  ));
}

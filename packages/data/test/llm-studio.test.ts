import { createHash } from "node:crypto";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { loadTokenizer } from "@danu/tokenizer";
import { expect, test } from "vitest";
import { danubeTemplate, encodeChat, readConversations } from "../src/index.ts";
import { shared } from "./support.ts";

const data = join(shared, "data");

/** What tools/golden/labels.py made with H2O LLM Studio's own data set class: a hash of the characters of a
 *  conversation's tokens, and how many of them have no label, then one, and so on by turns. */
interface Labels {
  readonly characters: string;
  readonly runs: readonly number[];
}

// Needs real conversations and Llama 2's tokenizer beside the repository.
test.skipIf(!existsSync(data))("50 real conversations have the labels of H2O LLM Studio", async () => {
  const golden = JSON.parse(readFileSync(new URL("golden/llm-studio.json", import.meta.url), "utf8")) as Labels[];
  const tokenizer = loadTokenizer(readFileSync(join(data, "tokenizers/llama2/tokenizer.model")));
  const found: Labels[] = [];
  for await (const { messages } of readConversations([join(data, "sft/oasst/en_100_tree.jsonl")])) {
    const chat = encodeChat(tokenizer, danubeTemplate, messages);
    const pieces = [...chat.ids].map((id) => tokenizer.pieces[id]!);
    found.push(labelsOf(pieces, [...chat.trained].map((trained) => trained === 1)));
    if (found.length === golden.length) break;
  }
  expect(golden.length).toBe(50);
  expect(golden.filter(({ runs }) => runs.length > 2).length).toBeGreaterThan(20);
  expect(found).toEqual(golden);
});

/** Labels of the characters of pieces without spaces: there every turn is encoded on its own, and may begin with one. */
function labelsOf(pieces: readonly string[], trained: readonly boolean[]): Labels {
  let characters = "";
  const runs = [0];
  let label = false;
  pieces.forEach((piece, i) => {
    for (const character of piece.replaceAll("▁", "")) {
      if (trained[i] !== label) {
        label = !label;
        runs.push(0);
      }
      runs[runs.length - 1]!++;
      characters += character;
    }
  });
  return { characters: createHash("sha256").update(characters).digest("hex").slice(0, 16), runs };
}

import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { loadTokenizer, type Tokenizer } from "@danu/tokenizer";
import { describe, expect, it } from "vitest";
import { danubeTemplate, encodeChat, type EncodedChat, parseChatTemplate } from "../src/index.ts";
import { chatGolden, turns } from "./chat-support.ts";
import { shared } from "./support.ts";

const { templates, specialTokens, conversations, ids: cases } = chatGolden;
const model = join(shared, "data/tokenizers/mistral/tokenizer.model");

/** Answers that no whole text can hold as generation would give them. */
const changing = new Set([
  "mistral-0.3 system-turn",
  "qwen-3 two-turns",
  "qwen-3 three-turns",
  "qwen-3 white-space",
  "qwen-3 joining",
]);

describe.skipIf(!existsSync(model))("with Mistral's tokenizer (skipped where ../shared/data is absent)", () => {
  const tokenizer = existsSync(model) ? loadTokenizer(readFileSync(model)) : (undefined as unknown as Tokenizer);

  for (const { template, conversation, ids, promptIds, spans, mask } of cases) {
    const name = `${template} ${conversation}`;
    it(name, () => {
      const parsed = parseChatTemplate(templates[template]!, { specialTokens });
      const messages = conversations[conversation]!;
      const text = parsed.render(messages);
      expect([...tokenizer.encode(text, { parseSpecial: true })]).toEqual(ids);

      const chat = encodeChat(tokenizer, parsed, messages, { changedAnswers: "untrained" });
      expect(chat.text).toBe(text);
      expect(chat.changed.length > 0).toBe(changing.has(name));
      expectSameButAtCuts(tokenizer, chat, ids);
      if (chat.changed.length === 0) expect([...chat.ids.subarray(0, chat.trained.indexOf(1))]).toEqual(promptIds);
      if (mask !== undefined && mask.length === chat.ids.length) expect([...chat.trained]).toEqual(mask);
      if (spans !== undefined) {
        const characters = [...text];
        const within = spans.map(([start, end]) => characters.slice(start, end).join(""));
        expect(trainedTexts(tokenizer, chat)).toEqual(within);
      }
    });
  }

  it("Danube's conversations train content and </s>, and start with BOS where asked", () => {
    const chat = encodeChat(tokenizer, danubeTemplate, turns("Why?", " Because. ", "So?", "Yes"), { addBos: true });
    expect(chat.text).toBe("<|prompt|>Why?</s><|answer|>Because.</s><|prompt|>So?</s><|answer|>Yes</s>");
    expect(trainedTexts(tokenizer, chat)).toEqual(["Because.</s>", "Yes</s>"]);
    expect(chat.ids[0]).toBe(tokenizer.bosId);
    expect(chat.message[0]).toBe(-1);
    const plain = encodeChat(tokenizer, danubeTemplate, turns("Why?", " Because. ", "So?", "Yes"));
    expect([...chat.ids.subarray(1)]).toEqual([...plain.ids]);
  });

  it("BOS is not doubled where the template writes it", () => {
    const gemma = parseChatTemplate(templates["gemma"]!, { specialTokens });
    const chat = encodeChat(tokenizer, gemma, turns("a", "b"), { addBos: true });
    expect([...chat.ids.subarray(0, 2)].filter((id) => id === tokenizer.bosId)).toHaveLength(1);
    expect([...chat.ids]).toEqual([...encodeChat(tokenizer, gemma, turns("a", "b")).ids]);
  });

  it("what users type never becomes a special token", () => {
    const typed = "</s><s> <unk></s>";
    const chat = encodeChat(tokenizer, danubeTemplate, turns(typed, typed));
    expect([...chat.ids].filter((id) => tokenizer.isSpecial(id))).toEqual([tokenizer.eosId, tokenizer.eosId]);
    expect(chat.text).toBe(`<|prompt|>${typed}</s><|answer|>${typed}</s>`);
  });
});

/** The trained text of each message. */
function trainedTexts(tokenizer: Tokenizer, { ids, message, trained }: EncodedChat): string[] {
  const texts = new Map<number, number[]>();
  ids.forEach((id, i) => {
    if (trained[i] === 1) texts.set(message[i]!, [...(texts.get(message[i]!) ?? []), id]);
  });
  // A token before them keeps the decoder from taking away a space that belongs to the answer.
  const before = tokenizer.encode("x");
  return [...texts.values()].map((some) => tokenizer.decode([...before, ...some], { skipSpecial: false }).slice(1));
}

/** Ids differ from those of the whole text only in other cuts of the same characters, where training begins or ends. */
function expectSameButAtCuts(tokenizer: Tokenizer, { ids, trained }: EncodedChat, whole: readonly number[]): void {
  const textOf = (some: ArrayLike<number>): string => Array.from(some, (id) => tokenizer.pieces[id]!).join("");
  let i = 0;
  let j = 0;
  while (i < ids.length || j < whole.length) {
    if (ids[i] === whole[j]) {
      i++;
      j++;
      continue;
    }
    const from = [i, j] as const;
    let left = tokenizer.pieces[ids[i++]!]!;
    let right = tokenizer.pieces[whole[j++]!]!;
    while (left !== right) {
      if (left.length < right.length) left += textOf([ids[i++]!]);
      else right += textOf([whole[j++]!]);
      expect(left.length, "differing tokens go on for long").toBeLessThan(40);
    }
    const around = trained.subarray(Math.max(from[0] - 1, 0), i + 1);
    expect(new Set(around).size, `no cut at ${from.join()} ${left}`).toBe(2);
  }
}

import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { type ChatMessage, type ChatTemplate, danubeTemplate, encodeChat, parseChatTemplate } from "../src/index.ts";
import { chatGolden, named, PairTokenizer, specials, turns } from "./chat-support.ts";

const { templates, specialTokens } = chatGolden;
const parse = (name: string): ChatTemplate => parseChatTemplate(templates[name]!, { specialTokens });

/** Texts of letters, spaces, whole special tokens and pieces of them. */
const text = fc
  .array(fc.constantFrom(...specials, "a", "b ", " ", "\n", "<", "/s>", "|im_", "end|>", "<|", ">", "😀", "é", "{{"), {
    maxLength: 8,
  })
  .map((parts) => parts.join(""));
const conversation = fc.array(text, { minLength: 1, maxLength: 6 }).map((contents) => turns(...contents));
const spaced = fc.constantFrom("none" as const, "first" as const, "every" as const);
const tokenizer = spaced.map((stretches) => new PairTokenizer(stretches));

/** Templates, and how each writes an answer with its end mark. */
const published: readonly (readonly [ChatTemplate, (content: string) => string])[] = [
  [danubeTemplate, (content) => `${content.trim()}</s>`],
  [parse("chatml"), (content) => `${content}<|im_end|>`],
  [parse("chatml-generation"), (content) => `${content}<|im_end|>`],
  [parse("llama-2"), (content) => ` ${content.trim()} </s>`],
  [parse("mistral-0.1"), (content) => `${content}</s>`],
  [parse("zephyr"), (content) => `${content}</s>`],
  [parseChatTemplate(named("|")), (content) => `${content}|`],
];

describe("for any conversation and tokenizer", () => {
  it("trained runs spell the answers and nothing else", () => {
    fc.assert(
      fc.property(conversation, tokenizer, fc.constantFrom(...published), (messages, pairs, [template, answer]) => {
        const chat = encodeChat(pairs, template, messages);
        expect(chat.message).toHaveLength(chat.ids.length);
        expect(chat.trained).toHaveLength(chat.ids.length);
        const expected = messages.map(({ role, content }) => (role === "assistant" ? answer(content) : ""));
        const isOf = (at: number, i: number): boolean => chat.trained[at] === 1 && chat.message[at] === i;
        const got = messages.map((_, i) => pairs.decode(chat.ids.filter((_id, at) => isOf(at, i))));
        expect(got).toEqual(expected);
        expect(chat.trainedTokens).toBe(chat.trained.filter((one) => one === 1).length);
      }),
    );
  });

  it("ids before an answer are those of its prompt", () => {
    fc.assert(
      fc.property(conversation, tokenizer, fc.constantFrom(...published), (messages, pairs, [template]) => {
        const chat = encodeChat(pairs, template, messages);
        messages.forEach(({ role }, i) => {
          if (role !== "assistant") return;
          const prompt = encodeChat(pairs, template, messages.slice(0, i), { addGenerationPrompt: true });
          const first = chat.trained.findIndex((one, at) => one === 1 && chat.message[at] === i);
          expect([...chat.ids.subarray(0, first)]).toEqual([...prompt.ids]);
        });
      }),
    );
  });

  it("special tokens come from the template alone", () => {
    const bare = parseChatTemplate("{% for message in messages %}{{ message.content }}{% endfor %}");
    const template = fc.constantFrom(bare, ...published.map(([one]) => one));
    fc.assert(
      fc.property(conversation, tokenizer, template, (messages, pairs, template) => {
        const specialsOf = (some: readonly ChatMessage[]): number[] =>
          [...encodeChat(pairs, template, some).ids].filter((id) => pairs.isSpecial(id));
        expect(specialsOf(messages)).toEqual(specialsOf(messages.map((one) => ({ ...one, content: "x" }))));
      }),
    );
  });

  it("nothing is lost in ids, and messages come in their order", () => {
    fc.assert(
      fc.property(conversation, fc.constantFrom(...published), (messages, [template]) => {
        const pairs = new PairTokenizer("none");
        const chat = encodeChat(pairs, template, messages);
        expect(pairs.decode(chat.ids)).toBe(chat.text);
        const order = [...chat.message].filter((one) => one >= 0);
        expect(order).toEqual(order.toSorted((a, b) => a - b));
      }),
    );
  });

  it("what maxLength cuts is counted", () => {
    const keep = fc.constantFrom("start" as const, "end" as const);
    const length = fc.integer({ min: 1, max: 60 });
    fc.assert(
      fc.property(conversation, length, keep, fc.boolean(), (messages, maxLength, kept, addBos) => {
        const pairs = new PairTokenizer("none");
        const whole = encodeChat(pairs, danubeTemplate, messages, { addBos });
        const chat = encodeChat(pairs, danubeTemplate, messages, { addBos, maxLength, keep: kept });
        expect(chat.ids.length).toBe(Math.min(maxLength, whole.ids.length));
        expect(chat.cut.tokens).toBe(whole.ids.length - chat.ids.length);
        expect(chat.cut.trainedTokens).toBe(whole.trainedTokens - chat.trainedTokens);
        expect(chat.trainedTokens).toBe(chat.trained.filter((one) => one === 1).length);
        const left = new Set([...chat.message].filter((one) => one >= 0));
        expect(chat.cut.messages).toBe(messages.length - left.size);
        const bos = addBos && kept === "end" ? 1 : 0;
        const rest = [...chat.ids.subarray(bos)];
        const from = kept === "start" ? 0 : whole.ids.length - rest.length;
        expect(rest).toEqual([...whole.ids.subarray(from, from + rest.length)]);
        expect(chat.ids[0] === pairs.bosId).toBe(addBos);
      }),
    );
  });
});

import { describe, expect, it } from "vitest";
import {
  type ChatMessage,
  ChatStatistics,
  type ChatTemplate,
  danubeTemplate,
  encodeChat,
  type EncodedChat,
  parseChatTemplate,
} from "../src/index.ts";
import { chatGolden, named, PairTokenizer, turns } from "./chat-support.ts";

const { templates, specialTokens } = chatGolden;
const parse = (source: string): ChatTemplate => parseChatTemplate(source, { specialTokens });
const pairs = new PairTokenizer();

/** The trained text, then the text of each message. */
function textsOf(chat: EncodedChat): string[] {
  const text = (isIn: (at: number) => boolean): string => pairs.decode(chat.ids.filter((_, at) => isIn(at)));
  return [text((at) => chat.trained[at] === 1), ...chat.roles.map((_, i) => text((at) => chat.message[at] === i))];
}

describe("what belongs to whom", () => {
  it("the header of an answer is the assistant's, and is not trained", () => {
    const chat = encodeChat(pairs, danubeTemplate, turns("Why?", "So!"));
    expect(textsOf(chat)).toEqual(["So!</s>", "<|prompt|>Why?</s>", "<|answer|>So!</s>"]);
    expect(chat.roles).toEqual(["user", "assistant"]);
  });

  it("an answer with a loss weight of 0 is not trained, and changes no id", () => {
    const messages = turns("Why?", "So!", "And?", "Thus.");
    const chat = encodeChat(pairs, danubeTemplate, messages.with(1, { ...messages[1]!, lossWeight: 0 }));
    expect(textsOf(chat)[0]).toBe("Thus.</s>");
    expect(chat.trainedTokens).toBe(chat.trained.filter((one) => one === 1).length);
    expect(chat.ids).toEqual(encodeChat(pairs, danubeTemplate, messages).ids);
  });

  it("the last generation prompt is no message's", () => {
    const chat = encodeChat(pairs, danubeTemplate, turns("Why?"), { addGenerationPrompt: true });
    expect(textsOf(chat)).toEqual(["", "<|prompt|>Why?</s>"]);
    expect(pairs.decode(chat.ids)).toBe("<|prompt|>Why?</s><|answer|>");
    expect(chat.message.at(-1)).toBe(-1);
  });

  it("BOS is put first where asked, once, and is no message's", () => {
    for (const template of [danubeTemplate, parse(templates["gemma"]!)]) {
      const chat = encodeChat(pairs, template, turns("a", "b"), { addBos: true });
      expect([...chat.ids].filter((id) => id === pairs.bosId)).toHaveLength(1);
      expect(chat.ids[0]).toBe(pairs.bosId);
      expect([...chat.message.subarray(0, 2)]).toEqual([-1, 0]);
    }
    expect(encodeChat(pairs, danubeTemplate, turns("a")).ids[0]).not.toBe(pairs.bosId);
  });

  it("a system prompt within the first question keeps its own index", () => {
    const messages = [{ role: "system", content: "Be brief." }, ...turns("Why?", "So!")];
    const chat = encodeChat(pairs, parse(templates["llama-2"]!), messages);
    const [trained, system] = textsOf(chat);
    expect(trained).toBe(" So! </s>");
    // Pairs of characters may lie across its ends.
    expect(system).toMatch(/^.?e brief\..?$/s);
  });

  it("white space after the end mark is not trained, unless it is the end mark", () => {
    const [marked] = textsOf(encodeChat(pairs, parse(templates["chatml"]!), turns("a", "b ")));
    expect(marked).toBe("b <|im_end|>");
    const lines = parse(named("\n\n"));
    expect(textsOf(encodeChat(pairs, lines, turns("a", "b")))[0]).toBe("b\n\n");
  });

  it("a template without a generation prompt has the whole assistant's part trained", () => {
    const bare = parse("{% for m in messages %}<|{{ m.role }}|>{{ m.content }}</s>{% endfor %}");
    expect(textsOf(encodeChat(pairs, bare, turns("a", "b")))[0]).toBe("<|assistant|>b</s>");
  });

  it("a template that refuses questions at the start or answers at the end still gives its answers", () => {
    const only = "{% if messages[-1].role == 'system' %}{{ raise_exception('no') }}{% endif %}";
    const messages = [{ role: "system", content: "s" }, ...turns("a", "b")];
    expect(textsOf(encodeChat(pairs, parse(only + templates["chatml"]!), messages))[0]).toBe("b<|im_end|>");
  });

  it("white space may change after an answer, and not before one", () => {
    const afterAnswers = parse(named("|{% if loop.last and m.role == 'assistant' %} {% endif %}"));
    expect(textsOf(encodeChat(pairs, afterAnswers, turns("a", "b", "c", "d")))[0]).toBe("b|d|");
    const beforeAnswers = parse(named("|{% if loop.last %} {% endif %}"));
    expect(() => encodeChat(pairs, beforeAnswers, turns("a", "b"))).toThrow(/message 1 \(assistant\)/);
  });
});

describe("answers that change once more messages follow", () => {
  const messages = turns("2+2?", "<think>\nadd\n</think>\n\nFour.", "3+3?", "<think>\nadd\n</think>\n\nSix.");
  const template = parse(templates["qwen-3"]!);

  it("are an error that names the message", () => {
    const encode = (): EncodedChat => encodeChat(pairs, template, messages);
    expect(encode).toThrow(
      expect.objectContaining({ code: "template-not-incremental", data: expect.objectContaining({ index: 1 }) }),
    );
    expect(encode).toThrow(/message 1 \(assistant\): expected .* got "<think>/);
  });

  it("are left untrained and counted where asked", () => {
    const chat = encodeChat(pairs, template, messages, { changedAnswers: "untrained" });
    expect(chat.changed).toEqual([1]);
    expect(textsOf(chat)[0]).toBe("<think>\nadd\n</think>\n\nSix.<|im_end|>");
    const statistics = new ChatStatistics();
    expect(statistics.add(chat)).toBe(true);
    expect(statistics.changedAnswers).toBe(1);
  });

  it("do not let other messages' special tokens through", () => {
    const typed = turns("<|im_end|>", "<think>\nadd\n</think>\n\nFour.");
    const ids = [...encodeChat(pairs, template, typed).ids].filter((id) => pairs.isSpecial(id));
    expect(ids).toEqual([2, 3, 2, 3]);
  });

  it("may not hold special tokens themselves", () => {
    const encode = (): EncodedChat => encodeChat(pairs, template, turns("a", "<think>\n<|im_end|>\n</think>\n\nFour."));
    expect(encode).toThrow(expect.objectContaining({ code: "content-not-found", data: { index: 1 } }));
  });

  it("a system prompt that moves with the last question is such a change", () => {
    const system: ChatMessage[] = [{ role: "system", content: "s" }, ...turns("a", "b", "c", "d")];
    expect(() => encodeChat(pairs, parse(templates["mistral-0.3"]!), system)).toThrow(/message 2 \(assistant\)/);
  });
});

describe("special tokens in further fields", () => {
  const called = (call: unknown): ChatMessage[] => [
    { role: "user", content: "a" },
    { role: "assistant", content: "", tool_calls: [call] },
  ];
  const template = parse(templates["qwen-2.5"]!);

  it("stay text in tool calls", () => {
    const messages = called({ name: "f<|im_end|>", arguments: { x: '</s>"\n', y: ["<s>", 1] } });
    const chat = encodeChat(pairs, template, messages);
    expect(chat.text).toContain('{"name": "f<|im_end|>", "arguments": {"x": "</s>\\"\\n", "y": ["<s>", 1]}}');
    expect([...chat.ids].filter((id) => pairs.isSpecial(id))).toEqual([2, 3, 2, 3, 2, 3]);
  });

  it("are refused in names of fields", () => {
    const encode = (): EncodedChat => encodeChat(pairs, template, called({ name: "f", arguments: { "</s>": 1 } }));
    expect(encode).toThrow(expect.objectContaining({ code: "content-not-found" }));
  });
});

describe("ChatStatistics", () => {
  it("adds up conversations and reports those with nothing to train", () => {
    const statistics = new ChatStatistics();
    const messages = turns("a long question of many words", "a", "b", "c");
    expect(statistics.add(encodeChat(pairs, danubeTemplate, messages))).toBe(true);
    expect(statistics.add(encodeChat(pairs, danubeTemplate, messages, { maxLength: 10 }))).toBe(false);
    expect(statistics.add(encodeChat(pairs, danubeTemplate, turns("a")))).toBe(false);
    const whole = encodeChat(pairs, danubeTemplate, messages);
    expect({ ...statistics }).toEqual({
      conversations: 1,
      tokens: whole.ids.length,
      trainedTokens: whole.trainedTokens,
      withoutTraining: 2,
      truncated: 1,
      cutTokens: whole.ids.length - 10,
      cutTrainedTokens: whole.trainedTokens,
      cutMessages: 3,
      changedAnswers: 0,
    });
  });
});

import { describe, expect, it } from "vitest";
import { type ChatMessage, DataError, danubeTemplate, parseChatTemplate } from "../src/index.ts";
import { chatGolden } from "./chat-support.ts";

const { templates, specialTokens, conversations, texts, snippets } = chatGolden;

describe("published templates give transformers' texts", () => {
  for (const [name, source] of Object.entries(templates)) {
    it(name, () => {
      const template = parseChatTemplate(source, { specialTokens });
      for (const { conversation, text, prompt } of texts.filter((one) => one.template === name)) {
        const messages = conversations[conversation]!;
        const render = (): string => template.render(messages);
        if (text === undefined) {
          expect(render, `${name} ${conversation}`).toThrow(DataError);
          continue;
        }
        expect(render(), `${name} ${conversation}`).toBe(text);
        expect(template.render(messages, { addGenerationPrompt: true })).toBe(text + prompt!);
      }
    });
  }

  it("danubeTemplate", () => {
    for (const { conversation, text } of texts.filter((one) => one.template === "danube")) {
      if (text !== undefined) expect(danubeTemplate.render(conversations[conversation]!)).toBe(text);
    }
  });
});

describe("small templates give jinja2's texts", () => {
  for (const { source, variables, text, error } of snippets) {
    it(JSON.stringify(source), () => {
      const none: ChatMessage[] = [];
      const render = (): string => parseChatTemplate(source).render(none, { variables });
      if (text === undefined) expect(render, error).toThrow(DataError);
      else expect(render()).toBe(text);
    });
  }
});

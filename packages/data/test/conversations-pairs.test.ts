import { describe, expect, test } from "vitest";
import fc from "fast-check";
import { type ChatMessage, readLabelled, readPreferences } from "../src/index.ts";
import { comesBack, dialogue, examplesOf, sharegptNames, trimmed, turn, twoAnswers } from "./conversations-support.ts";

describe("preferences come back from", () => {
  const pair = fc
    .record({ prompt: dialogue(trimmed), answers: twoAnswers, margin: fc.integer({ min: -9, max: 9 }) })
    .map(({ prompt, answers: [, better, worse], margin }) => ({
      prompt: prompt.slice(0, -1),
      chosen: [turn("assistant", better)],
      rejected: [turn("assistant", worse)],
      margin,
    }));
  const flat = twoAnswers.map(([question, better, worse]) => ({ question, better, worse }));
  const flatMessages = ({ question, better, worse }: { question: string; better: string; worse: string }): object => ({
    prompt: [turn("user", question)],
    chosen: [turn("assistant", better)],
    rejected: [turn("assistant", worse)],
  });

  test("chosen-rejected: whole dialogues, continuations, texts", async () => {
    type Pair = { prompt: ChatMessage[]; chosen: ChatMessage[]; rejected: ChatMessage[]; margin: number };
    const layouts: ((pair: Pair) => object)[] = [
      ({ prompt, chosen, rejected, margin }) => ({
        prompt: prompt.at(-1)?.content,
        prompt_id: "1",
        chosen: [...prompt, ...chosen],
        rejected: [...prompt, ...rejected],
        messages: [...prompt, ...chosen],
        score_chosen: margin,
        score_rejected: 0,
      }),
      ({ prompt, chosen, rejected, margin }) => ({
        chosen: [...prompt, ...chosen],
        rejected: [...prompt, ...rejected],
        chosen_rating: margin,
        rejected_rating: 0,
      }),
      ({ prompt, chosen, rejected, margin }) => ({ prompt, chosen, rejected, margin }),
      ({ prompt, chosen, rejected, margin }) => ({
        prompt,
        chosen: chosen[0]?.content,
        rejected: rejected[0],
        metadata: { score_chosen: margin, score_rejected: 0 },
      }),
      ({ prompt, chosen, rejected, margin }) => ({
        conversations: prompt.map(({ role, content: value }) => ({ from: sharegptNames[role], value })),
        chosen: { from: "gpt", value: chosen[0]?.content },
        rejected: { from: "gpt", value: rejected[0]?.content },
        margin,
      }),
    ];
    for (const layout of layouts) await comesBack(readPreferences, pair as fc.Arbitrary<Pair>, layout);
  });

  test("hh-rlhf transcripts that part at any answer", async () => {
    const parting = fc
      .record({ prompt: dialogue(trimmed), answers: twoAnswers, more: fc.option(fc.tuple(trimmed, trimmed)) })
      .map(({ prompt, answers: [, better, worse], more }) => ({
        prompt: prompt.filter(({ role }) => role !== "system").slice(0, -1),
        chosen: [turn("assistant", better)],
        rejected: [
          turn("assistant", worse),
          ...(more === null ? [] : [turn("user", more[0]), turn("assistant", more[1])]),
        ],
      }));
    const transcript = (messages: readonly ChatMessage[]): string =>
      messages.map(({ role, content: text }) => `\n\n${role === "user" ? "Human" : "Assistant"}: ${text}`).join("");
    await comesBack(readPreferences, parting, ({ prompt, chosen, rejected }) => ({
      chosen: transcript([...prompt, ...chosen]),
      rejected: transcript([...prompt, ...rejected]),
    }));
  });

  test("Orca pairs, Distilabel and alpaca pairs", async () => {
    const layouts: ((row: { question: string; better: string; worse: string }) => object)[] = [
      ({ question, better, worse }) => ({ system: "", question, chosen: better, rejected: worse }),
      ({ question, better, worse }) => ({ system: null, input: question, chosen: better, rejected: worse }),
      ({ question, better, worse }) => ({ instruction: question, chosen_response: better, rejected_response: worse }),
      ({ question, better, worse }) => ({ instruction: question, input: "", chosen: better, rejected: worse }),
      ({ question, better, worse }) => ({ prompt: question, chosen: better, rejected: worse }),
    ];
    for (const layout of layouts) await comesBack(readPreferences, flat, layout, flatMessages);
    const row = {
      instruction: "Q",
      chosen_response: "A",
      rejected_response: "B",
      chosen_rating: 9,
      rejected_rating: 7,
    };
    expect((await examplesOf(readPreferences, [row]))[0]?.["margin"]).toBe(2);
  });
});

describe("verdicts come back from", () => {
  const labelled = fc.tuple(dialogue(), fc.boolean()).map(([messages, label]) => ({
    prompt: messages.slice(0, -1),
    completion: messages.slice(-1),
    label,
  }));

  test("messages, sharegpt, and prompts with completions", async () => {
    type Labelled = { prompt: ChatMessage[]; completion: ChatMessage[]; label: boolean };
    const layouts: ((example: Labelled) => object)[] = [
      ({ prompt, completion, label }) => ({ messages: [...prompt, ...completion], label }),
      ({ prompt, completion, label }) => ({ prompt, completion, label }),
      ({ prompt, completion, label }) => ({
        conversations: [...prompt, ...completion].map(({ role, content: value }) => ({
          from: sharegptNames[role],
          value,
        })),
        kto_tag: label,
      }),
    ];
    for (const layout of layouts) await comesBack(readLabelled, labelled as fc.Arbitrary<Labelled>, layout);
  });
});

import { describe, expect, test } from "vitest";
import fc from "fast-check";
import { type ChatMessage, readConversations } from "../src/index.ts";
import { comesBack, content, dialogue, examplesOf, sharegptNames, turn } from "./conversations-support.ts";

const conversation = dialogue().map((messages) => ({ messages }));
const single = fc.tuple(content, content).map(([question, answer]) => ({ question, answer }));
const singleMessages = ({ question, answer }: { question: string; answer: string }): object => ({
  messages: [turn("user", question), turn("assistant", answer)],
});

describe("conversations come back from", () => {
  test("messages, with contents as texts or as lists of parts", async () => {
    await comesBack(readConversations, conversation, ({ messages }) => ({ messages, prompt: "x", prompt_id: 1 }));
    await comesBack(readConversations, conversation, ({ messages }) => ({
      conversation: messages.map(({ role, content: text }) => ({
        role,
        content: [
          { type: "text", text: text.slice(0, 3) },
          { type: "text", value: text.slice(3) },
        ],
        loss_weight: role === "assistant" ? 1 : 0,
      })),
    }));
  });

  test("sharegpt, with the system message as a turn or as a field", async () => {
    await comesBack(readConversations, conversation, ({ messages }) => ({
      id: "identity_0",
      conversations: messages.map(({ role, content: value }) => ({ from: sharegptNames[role], value })),
    }));
    await comesBack(readConversations, conversation, ({ messages }) => ({
      system: messages[0]?.role === "system" ? messages[0].content : "",
      conversations: messages
        .filter(({ role }) => role !== "system")
        .map(({ role, content: value }) => ({ from: sharegptNames[role], value })),
    }));
  });

  test("sharegpt with calls of functions and their results", async () => {
    const call = fc.record({ name: fc.string(), arguments: fc.dictionary(fc.string(), fc.jsonValue()) });
    const withCall = fc
      .tuple(content, fc.array(call, { minLength: 1, maxLength: 2 }), content, content)
      .map(([question, calls, result, answer]) => ({
        messages: [
          turn("user", question),
          { role: "assistant", content: "", tool_calls: calls.map((one) => ({ type: "function", function: one })) },
          turn("tool", result),
          turn("assistant", answer),
        ],
        tools: [{ name: "f" }],
      }));
    const expected = (example: object): object => JSON.parse(JSON.stringify(example)) as object;
    await comesBack(
      readConversations,
      withCall,
      ({ messages: [question, called, result, answer], tools }) => {
        const calls = (called!["tool_calls"] as { function: unknown }[]).map((one) => one.function);
        const turns = [
          { from: "human", value: question!.content },
          { from: "function_call", value: JSON.stringify(calls.length === 1 ? calls[0] : calls) },
          { from: "observation", value: result!.content },
          { from: "gpt", value: answer!.content },
        ];
        return { conversations: turns, tools: JSON.stringify(tools) };
      },
      expected,
    );
    await comesBack(readConversations, withCall, (example) => example, expected);
  });

  test("alpaca, with history and input", async () => {
    await comesBack(readConversations, conversation, ({ messages }) => {
      const turns = messages.filter(({ role }) => role !== "system").map((message) => message.content);
      const pairs = Array.from({ length: turns.length / 2 - 1 }, (_, i) => [turns[2 * i], turns[2 * i + 1]]);
      const system = messages[0]?.role === "system" ? messages[0].content : undefined;
      return { instruction: turns.at(-2), input: "", output: turns.at(-1), system, history: pairs };
    });
    const rows = [
      { instruction: "Add.", input: "1 and 2", output: "3" },
      { instruction: "", input: "1 + 2", output: "3" },
      { instruction: "Add.", input: " ", output: "3", history: [] },
    ];
    const asked = (await examplesOf(readConversations, rows)).map(
      ({ messages }) => (messages as ChatMessage[])[0]?.content,
    );
    expect(asked).toEqual(["Add.\n\n1 and 2", "1 + 2", "Add."]);
  });

  test("gpteacher, dolly, prompts and completions, OpenOrca", async () => {
    const layouts: ((pair: { question: string; answer: string }) => object)[] = [
      ({ question, answer }) => ({ instruction: question, input: "", response: answer }),
      ({ question, answer }) => ({ instruction: question, context: "", response: answer, category: "qa" }),
      ({ question, answer }) => ({ prompt: question, completion: answer }),
      ({ question, answer }) => ({ prompt: question, response: answer }),
      ({ question, answer }) => ({ question, answer }),
      ({ question, answer }) => ({ prompt: [turn("user", question)], completion: [turn("assistant", answer)] }),
      ({ question, answer }) => ({ id: "flan.1", system_prompt: "", question, response: answer }),
      ({ question, answer }) => ({ query: question, choices: ["no", answer], gold: 1 }),
    ];
    for (const layout of layouts) await comesBack(readConversations, single, layout, singleMessages);
    const [orca] = await examplesOf(readConversations, [{ system_prompt: "Be brief.", question: "Q", response: "A" }]);
    expect(orca?.["messages"]).toEqual([turn("system", "Be brief."), turn("user", "Q"), turn("assistant", "A")]);
  });

  test("MetaMathQA, with the question that a row was made of", async () => {
    await comesBack(
      readConversations,
      single,
      ({ question, answer }) => ({ query: question, response: answer, type: "GSM_Rephrased", original_question: "Q?" }),
      (pair) => ({ ...singleMessages(pair), group: "Q?" }),
    );
  });
});

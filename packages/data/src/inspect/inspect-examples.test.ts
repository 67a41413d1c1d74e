import { join } from "node:path";

import { loadTokenizer } from "@danu/tokenizer";
import { describe, expect, test } from "vitest";
import { existsSync, readFileSync } from "node:fs";

import { putRows, turn } from "../../test/conversations-support.ts";
import { named, PairTokenizer, turns } from "../../test/chat-support.ts";
import { put, shared, temporaryFolder } from "../../test/support.ts";
import { danubeTemplate } from "../chat/danube-template.ts";
import { parseChatTemplate } from "../chat/chat-template.ts";
import { inspectExamples, type ExamplesReport, type InspectExamplesOptions } from "./inspect-examples.ts";
import { LengthHistogram } from "./length-histogram.ts";
import { recogniseExamples } from "./recognise-examples.ts";

const tokenizer = new PairTokenizer();
const template = parseChatTemplate(named("</s>"));

function inspect(path: string, options: Partial<InspectExamplesOptions> = {}): Promise<ExamplesReport> {
  return inspectExamples([path], { tokenizer, template, ...options });
}

/** Trained texts of a shown example, by sequence. */
function trainedIn({ shown }: ExamplesReport, index = 0): Record<string, string> {
  return Object.fromEntries(shown[index]!.sequences.map(({ name, chat }) => (
    [name, tokenizer.decode(chat.ids.filter((_, t) => chat.trained[t] === 1))]
  )));
}

const question = turn("user", "where?");
const pair = { prompt: "where?", chosen: "by the river", rejected: "the sea" };

test("counts what conversations hold and shows what is trained of them", async () => {
  const path = putRows([{ messages: turns("where?", "here", "when?", "now") }, { messages: turns("who?", "me") }]);
  const report = await inspect(path);
  expect(report).toMatchObject({
    kind: "conversations", files: [{ source: path, format: "messages", examples: 2 }], examples: 2, usable: 2,
    roles: { user: 3, assistant: 3 }, findings: [],
    messages: [{ messages: 2, examples: 1 }, { messages: 4, examples: 1 }],
  });
  expect(trainedIn(report)).toEqual({ conversation: "here</s>now</s>" });
  const [first, second] = report.shown.map(({ sequences }) => sequences[0]!.chat);
  expect(report.sequences["conversation"]).toMatchObject({
    documents: 2, tokens: first!.ids.length + second!.ids.length, trainedTokens: first!.trainedTokens + second!.trainedTokens,
    longest: first!.ids.length, shortest: second!.ids.length, truncated: 0,
  });
});

test("preferences train their completions alone, after a prompt that both share", async () => {
  const prompt = [turn("user", "who?"), turn("assistant", "me"), question];
  const path = putRows([{ ...pair, prompt, chosen: [turn("assistant", "by the river")], rejected: [turn("assistant", "the sea")] }]);
  const report = await inspect(path);
  expect(report).toMatchObject({ kind: "preferences", usable: 1, roles: { user: 2, assistant: 3 } });
  expect(trainedIn(report)).toEqual({ chosen: "by the river</s>", rejected: "the sea</s>" });
  const { sharedTokens, sequences: [chosen] } = report.shown[0]!;
  expect(tokenizer.decode(chosen!.chat.ids.subarray(0, sharedTokens))).toBe(
    "user: who?</s>assistant: me</s>user: where?</s>assistant: ",
  );
});

test("labelled completions are counted by their verdict", async () => {
  const path = putRows([{ prompt: "where?", completion: "here", label: true }, { prompt: "a", completion: "b", label: false }]);
  const report = await inspect(path);
  expect(report.kind).toBe("labelled");
  expect(Object.keys(report.sequences)).toEqual(["wanted", "unwanted"]);
  expect(trainedIn(report)).toEqual({ wanted: "here</s>" });
});

test("tells what a greatest length would cut or drop", async () => {
  const path = putRows([{ messages: turns("a", "b") }, { messages: turns("where?", "by the river") }, { messages: turns("x".repeat(80), "y") }]);
  const whole = await inspect(path);
  const maxLength = whole.shown[1]!.sequences[0]!.chat.ids.length - 3;
  const report = await inspect(path, { maxLength });
  expect(report).toMatchObject({ examples: 3, usable: 2 });
  expect(report.findings).toEqual([
    {
      outcome: "truncated", count: 1, first: [{ source: path, line: 2 }],
      reason: `conversation: ${maxLength + 3} tokens, of which 3 are cut, 3 of them trained`,
    },
    {
      outcome: "dropped", count: 1, first: [{ source: path, line: 3 }],
      reason: expect.stringMatching(/^conversation: the prompt has \d+ tokens, which leaves no room/) as string,
    },
  ]);
  expect(report.sequences["conversation"]).toMatchObject({ documents: 2, longest: maxLength, truncated: 1, cutTokens: 3, cutTrainedTokens: 3 });
});

test("a pair whose difference lies beyond the greatest length is dropped", async () => {
  const path = putRows([{ prompt: "a", chosen: `${"b".repeat(40)}c`, rejected: `${"b".repeat(40)}d` }]);
  const report = await inspect(path, { maxLength: 24 });
  expect(report).toMatchObject({ examples: 1, usable: 0, shown: [], sequences: {} });
  expect(report.findings).toMatchObject([{ outcome: "dropped", reason: expect.stringContaining("the same in their first 24 tokens") as string }]);
});

test("malformed rows and refused conversations are named with file, line and reason", async () => {
  const good = JSON.stringify({ messages: turns("a", "b") });
  const system = JSON.stringify({ messages: [turn("system", "be brief"), ...turns("a", "b")] });
  const rows = [good, '{"messages": [', JSON.stringify({ messages: [turn("user", "a")] }), system, good];
  const path = put(join(temporaryFolder(), "rows.jsonl"), `${rows.join("\n")}\n`);
  const report = await inspect(path, { template: danubeTemplate });
  expect(report).toMatchObject({ examples: 3, usable: 2 });
  expect(report.found).toEqual([
    { outcome: "malformed", source: path, line: 2, reason: expect.stringMatching(/^not valid JSON/) as string },
    { outcome: "malformed", source: path, line: 3, reason: expect.stringContaining("user") as string },
    { outcome: "dropped", source: path, line: 4, reason: expect.stringContaining("System role not supported") as string },
  ]);
  expect((await inspect(path, { template: danubeTemplate, system: "drop" })).usable).toBe(3);
});

test("reasons that differ in numbers alone are counted together", async () => {
  const rows = [40, 60, 80].map((length) => ({ messages: turns("x".repeat(length), "y") }));
  const { findings } = await inspect(putRows(rows), { maxLength: 16 });
  expect(findings).toMatchObject([{ count: 3, reason: expect.stringContaining("the prompt has … tokens") as string }]);
});

test("many different reasons are counted, and told apart as far as a person reads", async () => {
  const letters = (i: number): string => i.toString(3).replaceAll("0", "a").replaceAll("1", "b").replaceAll("2", "c");
  const rows = Array.from({ length: 300 }, (_, i) => ({ [`field ${letters(i)}`]: 1 }));
  const path = putRows([{ messages: turns("a", "b") }, ...rows]);
  const report = await inspect(path);
  expect(report.findings.length).toBe(201);
  expect(report.findings.reduce((sum, { count }) => sum + count, 0)).toBe(300);
  expect(report.found.length).toBe(100);
});

describe("files are recognised by their rows:", () => {
  const tree = { message_id: "1", text: "a", role: "prompter", replies: [{ message_id: "2", text: "b", role: "assistant", replies: [] }] };
  test.each([
    ["conversations", { messages: turns("a", "b") }],
    ["conversations", { instruction: "a", output: "b" }],
    ["conversations", tree],
    ["preferences", pair],
    ["preferences", { ...pair, messages: turns("a", "b") }],
    ["preferences", { conversations: [{ from: "human", value: "a" }], chosen: { from: "gpt", value: "b" }, rejected: { from: "gpt", value: "c" } }],
    ["labelled", { prompt: "a", completion: "b", label: true }],
  ] as const)("%s", async (kind, row) => {
    expect(await recogniseExamples([putRows([{ strange: 1 }, row])])).toBe(kind);
  });

  test("none", async () => {
    const path = putRows([{ strange: 1 }]);
    await expect(recogniseExamples([path])).rejects.toMatchObject({ code: "unknown-format", message: expect.stringContaining("got the fields strange") as string });
  });
});

test("a histogram covers every length once, in powers of two", () => {
  const histogram = new LengthHistogram();
  for (const length of [1, 2, 3, 4, 100]) histogram.add(length);
  const { lengths, ...sums } = histogram.statistics();
  expect(sums).toEqual({ documents: 5, tokens: 110, shortest: 1, longest: 100, mean: 22 });
  expect(lengths.map(({ from, to, documents }) => [from, to, documents])).toEqual([
    [1, 2, 1], [2, 4, 2], [4, 8, 1], [8, 16, 0], [16, 32, 0], [32, 64, 0], [64, 128, 1],
  ]);
  expect(new LengthHistogram().statistics()).toMatchObject({ documents: 0, shortest: 0, mean: 0, lengths: [] });
});

const data = join(shared, "data");

describe.skipIf(!existsSync(data))("real files (beside the repository, skipped where absent):", () => {
  const llama = (): ReturnType<typeof loadTokenizer> => (
    loadTokenizer({ model: readFileSync(join(data, "tokenizers/llama2/tokenizer.model")) })
  );
  test.each([
    ["sft/vicuna/dummy_conversation.json", "conversations", "sharegpt", 500, 500, 0],
    ["sft/oasst/en_100_tree.jsonl", "conversations", "oasst-tree", 546, 546, 0],
    ["sft/dolly/dolly_hhrlhf_train_small.jsonl", "conversations", "prompt-completion", 1000, 988, 0],
    ["dpo/ultrafeedback/eval_clean.jsonl", "preferences", "chosen-rejected", 199, 193, 1],
    ["dpo/llama-factory/dpo_en_demo.json", "preferences", "sharegpt-pair", 300, 171, 0],
    ["dpo/llama-factory/kto_en_demo.json", "labelled", "labelled-messages", 300, 271, 0],
  ] as const)("%s", async (path, kind, format, examples, usable, malformed) => {
    const report = await inspectExamples([join(data, path)], { tokenizer: llama(), template: danubeTemplate, maxLength: 1024 });
    expect(report).toMatchObject({ kind, files: [{ format, examples }], examples, usable });
    const rows = report.findings.filter(({ outcome }) => outcome === "malformed");
    expect(rows.reduce((sum, { count }) => sum + count, 0)).toBe(malformed);
    for (const { trainedTokens, tokens, longest } of Object.values(report.sequences)) {
      expect(trainedTokens).toBeGreaterThan(0);
      expect(trainedTokens).toBeLessThan(tokens);
      expect(longest).toBeLessThanOrEqual(1024);
    }
  });
});

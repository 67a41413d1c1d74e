import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { loadTokenizer } from "@danu/tokenizer";
import { describe, expect, test } from "vitest";
import {
  type BadRow,
  type ChatMessage,
  danubeTemplate,
  encodeChat,
  readConversations,
  readLabelled,
  readPreferences,
} from "../src/index.ts";
import { all, shared } from "./support.ts";

const data = join(shared, "data");
const rolesOf = (messages: readonly ChatMessage[] = []): string => messages.map(({ role }) => role[0]).join("");

interface Found {
  readonly count: number;
  readonly roles: string;
  readonly bad: Record<string, number>;
}

/** Counts of a file, the roles of its first example, and its bad rows by reason, without numbers. */
async function read<T>(
  items: (onBadRow: (row: BadRow) => void) => AsyncIterable<T>,
  roles: (item: T) => string,
): Promise<Found> {
  const bad: Record<string, number> = {};
  const found = await all(
    items(({ reason }) => {
      const kind = reason.replace(/message \d+/, "message N");
      bad[kind] = (bad[kind] ?? 0) + 1;
    }),
  );
  return { count: found.length, roles: found[0] === undefined ? "" : roles(found[0]), bad };
}

const inOrder = (place: string): string =>
  `${place}: roles out of order: message N is assistant after assistant, expected user or tool`;

// The real data sets are not part of the repository.
describe.skipIf(!existsSync(join(data, "sft")))(`real data sets in ${data}`, () => {
  test.each<[string, number, string]>([
    ["sft/dolly/dolly_hhrlhf_train_small.jsonl", 1000, "ua"],
    ["sft/dolly/llm-foundry_finetune_example_train.jsonl", 100, "ua"],
    ["sft/gpteacher/roleplay-simple-deduped-roleplay-instruct.json", 1923, "ua"],
    ["sft/llama-factory/alpaca_en_demo.json", 999, "ua"],
    ["sft/llama-factory/glaive_toolcall_en_demo.json", 300, "uauataua"],
    ["sft/llama-factory/identity.json", 91, "ua"],
    ["sft/llama-factory/v1_sft_demo.jsonl", 500, "ua"],
    ["sft/oasst/en_100_message.jsonl", 546, "ua"],
    ["sft/oasst/en_100_tree.jsonl", 546, "ua"],
    ["sft/vicuna/dummy_conversation.json", 500, "uaua"],
  ])("conversations of %s", async (path, count, roles) => {
    const options = { badRows: "skip", languages: ["en"] } as const;
    const found = await read(
      (onBadRow) => readConversations([join(data, path)], { ...options, onBadRow }),
      ({ messages }) => rolesOf(messages),
    );
    expect(found).toEqual({ count, roles, bad: {} });
  });

  test.each<[string, number, string, Record<string, number>]>([
    ["sft/oasst/en_100_message.jsonl", 212, "u a a", {}],
    ["sft/oasst/en_100_tree.jsonl", 212, "u a a", {}],
    ["dpo/llama-factory/dpo_en_demo.json", 300, "u a a", {}],
    ["dpo/ultrafeedback/eval_clean.jsonl", 199, "u a a", { "chosen and rejected are the same": 1 }],
    [
      "dpo/ultrafeedback/train_clean.jsonl",
      994,
      "u a a",
      {
        "chosen and rejected are the same": 4,
        "chosen: message N (assistant) is empty": 1,
        "rejected: message N (assistant) is empty": 1,
      },
    ],
    [
      "dpo/hh-rlhf/helpful-base/test.jsonl.gz",
      2333,
      "u a a",
      {
        "chosen and rejected are the same": 2,
        "prompt: message N (assistant) is empty": 1,
        "rejected: message N (assistant) is empty": 3,
        [inOrder("prompt")]: 7,
        [inOrder("chosen")]: 2,
        [inOrder("rejected")]: 6,
      },
    ],
    [
      "dpo/hh-rlhf/harmless-base/test.jsonl.gz",
      2299,
      "uauau a a",
      {
        "chosen: message N (assistant) is empty": 4,
        [inOrder("prompt")]: 4,
        [inOrder("chosen")]: 4,
        [inOrder("rejected")]: 1,
      },
    ],
  ])("preferences of %s", async (path, count, roles, bad) => {
    const found = await read(
      (onBadRow) => readPreferences([join(data, path)], { badRows: "skip", onBadRow }),
      ({ prompt, chosen, rejected }) => [prompt, chosen, rejected].map(rolesOf).join(" "),
    );
    expect(found).toEqual({ count, roles, bad });
  });

  test("margins of UltraFeedback are those of its scores", async () => {
    const path = join(data, "dpo/ultrafeedback/train_clean.jsonl");
    const pairs = await all(readPreferences([path], { badRows: "skip" }));
    const rows = readFileSync(path, "utf8").trim().split("\n");
    for (const { margin, line } of pairs) {
      const { metadata } = JSON.parse(rows[line - 1]!) as {
        metadata: { score_chosen: number; score_rejected: number };
      };
      expect(margin).toBe(metadata.score_chosen - metadata.score_rejected);
    }
    expect(pairs.filter(({ margin }) => margin === 0)).toHaveLength(110);
  });

  test("verdicts of KTO", async () => {
    const examples = await all(readLabelled([join(data, "dpo/llama-factory/kto_en_demo.json")]));
    expect(examples.map(({ label }) => label).filter(Boolean)).toHaveLength(150);
    expect([examples.length, rolesOf(examples[0]?.prompt), rolesOf(examples[0]?.completion)]).toEqual([300, "u", "a"]);
  });

  test("calls of functions come with the functions", async () => {
    const [first] = await all(readConversations([join(data, "sft/llama-factory/glaive_toolcall_en_demo.json")]));
    expect(first?.messages[3]).toEqual({
      role: "assistant",
      content: "",
      tool_calls: [
        {
          type: "function",
          function: { name: "search_recipes", arguments: { ingredients: ["chicken", "bell peppers", "rice"] } },
        },
      ],
    });
    expect(first?.tools).toMatchObject([{ name: "search_recipes" }]);
  });

  test("what is read can be encoded with Danube's template", async () => {
    const tokenizer = loadTokenizer(readFileSync(join(data, "tokenizers/mistral/tokenizer.model")));
    const paths = ["dolly", "gpteacher", "vicuna", "oasst/en_100_tree.jsonl"].map((name) => join(data, "sft", name));
    let trained = 0;
    let count = 0;
    for await (const { messages } of readConversations(paths, { split: { part: "validation", fraction: 0.05 } })) {
      const { trainedTokens, ids } = encodeChat(tokenizer, danubeTemplate, messages);
      expect(trainedTokens).toBeGreaterThan(1);
      expect(ids.length).toBeGreaterThan(trainedTokens);
      trained += trainedTokens;
      count++;
    }
    expect(count).toBeGreaterThan(100);
    expect(trained).toBeGreaterThan(10_000);
  });
});

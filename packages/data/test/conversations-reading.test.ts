import { readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { gzipSync } from "node:zlib";
import { describe, expect, test } from "vitest";
import {
  type ChatMessage,
  formatNames,
  isHeldOut,
  readConversations,
  readLabelled,
  readPreferences,
} from "../src/index.ts";
import { examplesOf, failureOf, putRows } from "./conversations-support.ts";
import { all, put, temporaryFolder } from "./support.ts";

const golden = fileURLToPath(new URL("golden/parquet", import.meta.url));
const chat = (question: string, answer: string, ...before: ChatMessage[]): { messages: ChatMessage[] } => ({
  messages: [...before, { role: "user", content: question }, { role: "assistant", content: answer }],
});
const system = { role: "system", content: "Be brief." };

describe("files", () => {
  test("of every kind give the same conversations, in the order of paths and names", async () => {
    const folder = temporaryFolder();
    const rows = [chat("1", "one"), chat("2", "two")];
    const lines = rows.map((row) => JSON.stringify(row)).join("\r\n");
    put(join(folder, "a.jsonl"), `\ufeff${lines}\n\n`);
    put(join(folder, "b.jsonl.gz"), gzipSync(lines));
    put(join(folder, "c.json"), JSON.stringify(rows, null, 2));
    put(join(folder, "sub", "d.ndjson"), lines);
    const found = await all(readConversations([folder]));
    expect(found.map(({ messages }) => messages)).toEqual(
      Array.from({ length: 4 }, () => rows.map((row) => row.messages)).flat(),
    );
    expect(found.map(({ source, line }) => `${source.slice(folder.length + 1)}:${line}`)).toEqual([
      "a.jsonl:1",
      "a.jsonl:2",
      "b.jsonl.gz:1",
      "b.jsonl.gz:2",
      "c.json:2",
      "c.json:14",
      join("sub", "d.ndjson:1"),
      join("sub", "d.ndjson:2"),
    ]);
  });

  test("of Parquet give conversations and preferences", async () => {
    const expected = JSON.parse(readFileSync(join(golden, "chat.json"), "utf8")) as { messages: ChatMessage[] }[];
    const conversations = await all(readConversations([join(golden, "chat.parquet")]));
    expect(conversations.map(({ messages }) => messages)).toEqual(expected.map(({ messages }) => messages));
    expect(conversations.map(({ line }) => line)).toEqual(expected.map((_, i) => i + 1));
    const preferences = await all(readPreferences([join(golden, "preferences.parquet")]));
    expect(preferences[3]).toMatchObject({
      prompt: [{ role: "user", content: "question 3" }],
      chosen: [{ role: "assistant", content: "chosen 3" }],
      rejected: [{ role: "assistant", content: "rejected 3" }],
      margin: 3,
    });
  });

  test("may each have a format of their own", async () => {
    const paths = [putRows([chat("1", "one")]), putRows([{ instruction: "2", output: "two" }])];
    expect(await all(readConversations(paths))).toHaveLength(2);
  });

  test("of text are refused", async () => {
    const path = put(join(temporaryFolder(), "a.txt"), "text");
    expect(await failureOf(readConversations([path]))).toMatchObject({ code: "unknown-format" });
  });
});

describe("the format", () => {
  test("that nobody knows is an error with the fields and the formats", async () => {
    const path = putRows([{ title: "a", body: "b" }]);
    const error = await failureOf(readConversations([path]));
    expect(error).toMatchObject({ code: "unknown-format", data: { line: 1, fields: ["title", "body"] } });
    expect((error as Error).message).toMatch(
      /:1: no format is known that has the fields title, body: .*messages \(messages\), sharegpt/,
    );
    const skipped = await failureOf(readConversations([path], { badRows: "skip" }));
    expect(skipped).toMatchObject({ code: "unknown-format", message: (error as Error).message });
  });

  test("of another reader names that reader", async () => {
    const pair = putRows([{ prompt: "Q", chosen: "A", rejected: "B" }]);
    expect(await failureOf(readConversations([pair]))).toMatchObject({
      message: expect.stringMatching(/they are chosen-rejected, which readPreferences takes/) as string,
      data: { reader: "readPreferences" },
    });
    const verdict = putRows([{ ...chat("Q", "A"), label: false }]);
    expect(((await failureOf(readConversations([verdict]))) as Error).message).toMatch(
      /labelled-messages, which readLabelled takes/,
    );
    const plain = putRows([chat("Q", "A")]);
    expect(((await failureOf(readLabelled([plain]))) as Error).message).toMatch(
      /messages, which readConversations takes/,
    );
  });

  test("is that of the first row that has one, if bad rows are skipped", async () => {
    const bad: number[] = [];
    const rows = [{ title: "a" }, chat("1", "one"), { instruction: "2", output: "two" }, chat("3", "three")];
    const found = await examplesOf(readConversations, rows, {
      badRows: "skip",
      onBadRow: ({ line }) => bad.push(line),
    });
    expect([found.length, bad]).toEqual([2, [1, 3]]);
  });

  test("can be forced, for rows of two or of none", async () => {
    const row = { ...chat("1", "one"), instruction: "2", output: "two" };
    const [found] = await examplesOf(readConversations, [row], { format: "alpaca" });
    expect(found).toEqual(chat("2", "two"));
    const error = await failureOf(readConversations([putRows([{ instruction: "2" }])], { format: "alpaca" }));
    expect((error as Error).message).toMatch(/:1: field "output": expected text, got nothing/);
    const unknown = await failureOf(readPreferences([putRows([row])], { format: "alpaca" }));
    expect(unknown).toMatchObject({ code: "bad-option" });
    for (const name of formatNames.readPreferences) expect((unknown as Error).message).toContain(name);
  });
});

describe("bad rows", () => {
  test("go to the quarantine file, with broken JSON and rows in Parquet", async () => {
    const folder = temporaryFolder();
    const quarantine = join(folder, "bad.jsonl");
    put(
      join(folder, "rows.jsonl"),
      `${JSON.stringify(chat("1", "one"))}\n{"messages": [\n${JSON.stringify(chat("2", ""))}\n`,
    );
    const paths = [join(folder, "rows.jsonl"), join(golden, "chat.parquet")];
    const options = { badRows: "skip", quarantine, maxDocumentBytes: 150 } as const;
    const found = await all(readConversations(paths, options));
    const bad = readFileSync(quarantine, "utf8")
      .trim()
      .split("\n")
      .map((line) => JSON.parse(line) as Record<string, unknown>);
    expect(bad.slice(0, 2)).toMatchObject([
      { source: paths[0], line: 2, row: '{"messages": [' },
      { source: paths[0], line: 3, reason: "message 1 (assistant) is empty" },
    ]);
    expect(found.length + bad.length).toBe(3 + 12);
    expect(bad.length).toBeGreaterThan(3);
    expect(JSON.parse(bad.at(-1)?.["row"] as string)).toHaveProperty("prompt_id");
  });

  test("of trees are the paths at fault, and the others are read", async () => {
    const message = (text: string, role: string, replies: unknown[] = []): object => ({
      message_id: text,
      text,
      role,
      replies,
    });
    const root = message("Q", "prompter", [
      message("A", "assistant"),
      message("", "assistant"),
      message("B", "assistant"),
    ]);
    const bad: string[] = [];
    const found = await examplesOf(readConversations, [root], {
      badRows: "skip",
      onBadRow: ({ reason }) => bad.push(reason),
    });
    expect(found).toEqual([chat("Q", "A"), chat("Q", "B")]);
    expect(bad).toEqual(["message 1 (assistant) is empty"]);
  });
});

describe("what is passed over", () => {
  test("is told with its reason: other languages, deleted and refused messages, unfinished trees", async () => {
    const message = (text: string, role: string, extra: object = {}): object => ({
      message_id: text,
      text,
      role,
      lang: "en",
      replies: [],
      ...extra,
    });
    const replies = [
      message("A", "assistant"),
      message("B", "assistant", { lang: "de" }),
      message("C", "assistant", { deleted: true }),
      message("D", "assistant", { review_result: false }),
    ];
    const row = { message_tree_id: "1", tree_state: "ready_for_export", prompt: message("Q", "prompter", { replies }) };
    const rows = [row, { ...row, tree_state: "growing" }];
    const dropped: string[] = [];
    const options = {
      languages: ["en"],
      onDropped: ({ line, reason }: { line: number; reason: string }) => dropped.push(`${line}: ${reason}`),
    };
    expect(await examplesOf(readConversations, rows, options)).toEqual([chat("Q", "A")]);
    expect(dropped).toEqual([
      "1: a message in language de",
      "1: a deleted message",
      "1: a message that reviewers refused",
      '2: a tree in the state "growing"',
    ]);
    const flat = [row.prompt, ...replies].map((one, i) => ({
      ...one,
      replies: undefined,
      parent_id: i === 0 ? null : "Q",
    }));
    dropped.length = 0;
    expect(await examplesOf(readConversations, flat, options)).toEqual([chat("Q", "A")]);
    expect(dropped[0]).toBe("1: a message in language de");
  });
});

describe("messages", () => {
  test("keep what is unusual about their loss, names of tools, and calls with arguments as objects", async () => {
    const call = { id: "1", type: "function", function: { name: "f", arguments: '{"a":1}' } };
    const messages = [
      { role: "developer", content: "S" },
      { role: "human", content: "Q", loss_weight: 0 },
      { role: "assistant", content: null, tool_calls: [call], weight: 0 },
      { role: "tool", content: "R", tool_call_id: "1", name: null },
      { role: "assistant", content: "A", weight: 1 },
    ];
    const [found] = await examplesOf(readConversations, [{ messages }]);
    expect(found?.["messages"]).toEqual([
      { role: "system", content: "S" },
      { role: "user", content: "Q" },
      {
        role: "assistant",
        content: "",
        tool_calls: [{ ...call, function: { name: "f", arguments: { a: 1 } } }],
        lossWeight: 0,
      },
      { role: "tool", content: "R", tool_call_id: "1" },
      { role: "assistant", content: "A" },
    ]);
    const old = { role: "assistant", content: null, function_call: { name: "f", arguments: "{}" } };
    const [other] = await examplesOf(readConversations, [{ messages: [messages[1], old] }]);
    expect(other?.["messages"]).toMatchObject([{}, { tool_calls: [{ function: { name: "f", arguments: {} } }] }]);
  });

  test("of the system stay, go, or come before the first question", async () => {
    const rows = [chat("Q", "A", system), chat("Q", "A", { role: "system", content: " " })];
    const first = async (choice: "keep" | "drop" | "prepend"): Promise<unknown[]> =>
      (await examplesOf(readConversations, rows, { system: choice })).map(
        ({ messages }) => (messages as ChatMessage[])[0]?.content,
      );
    expect(await first("keep")).toEqual(["Be brief.", "Q"]);
    expect(await first("drop")).toEqual(["Q", "Q"]);
    expect(await first("prepend")).toEqual(["Be brief.\n\nQ", "Q"]);
    const pair = { system: "Be brief.", question: "Q", chosen: "A", rejected: "B" };
    expect((await examplesOf(readPreferences, [pair], { system: "prepend" }))[0]).toMatchObject({
      prompt: [{ role: "user", content: "Be brief.\n\nQ" }],
    });
  });
});

describe("splits", () => {
  const rows = Array.from({ length: 2000 }, (_, i) => chat(`question ${Math.floor(i / 2)}`, `answer ${i}`));
  const answers = async (part: "train" | "validation", list: readonly unknown[], seed: number = 0): Promise<string[]> =>
    (await examplesOf(readConversations, list, { split: { part, fraction: 0.1, seed } })).map(
      ({ messages }) => (messages as ChatMessage[])[1]?.content ?? "",
    );

  test("part the examples by their first question, whatever their order and their neighbours", async () => {
    const [train, validation] = [await answers("train", rows), await answers("validation", rows)];
    expect([...train, ...validation].toSorted()).toEqual(rows.map(({ messages }) => messages[1]?.content).toSorted());
    expect(Math.abs(validation.length - 200)).toBeLessThan(60);
    for (const answer of validation) {
      const number = Number(answer.slice(7));
      expect(validation).toContain(`answer ${number ^ 1}`);
    }
    const backwards = await answers(
      "validation",
      rows.toReversed().filter((_, i) => i % 3 > 0),
    );
    expect(validation).toEqual(expect.arrayContaining(backwards));
    expect(await answers("validation", rows, 1)).not.toEqual(validation);
  });

  test("keep rows of one group together, and are checked", async () => {
    const math = Array.from({ length: 300 }, (_, i) => ({
      query: `q${i}`,
      response: "r",
      original_question: `${i % 3}`,
    }));
    const found = await examplesOf(readConversations, math, { split: { part: "validation", fraction: 0.5 } });
    expect(found.length).toBe(100 * ["0", "1", "2"].filter((group) => isHeldOut(group, 0.5)).length);
    const bad = readConversations([putRows(math)], { split: { part: "validation", fraction: 2 } });
    expect(await failureOf(bad)).toMatchObject({ code: "bad-option" });
    expect(isHeldOut("any", 0)).toBe(false);
    expect(isHeldOut("any", 1)).toBe(true);
  });
});

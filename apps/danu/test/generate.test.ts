import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";

import { describe, expect, test } from "vitest";

import { danu, inFolder } from "./support.ts";
import { chatMl, tinyChatModel } from "./tiny-chat.ts";

interface Row {
  readonly prompt?: string;
  readonly messages?: unknown;
  readonly id?: number;
  readonly text: string;
  readonly ids: readonly number[];
  readonly end: string;
}

describe("generate --prompts", () => {
  test("lines of text: every row as --prompt gives it alone, in their order, whatever goes together", async () => {
    await inFolder(async (folder) => {
      const model = await tinyChatModel(folder, chatMl);
      const prompts = join(folder, "prompts.txt");
      const lines = ["who", "the question and the answer", "", "nobody is there", "x", "the user"];
      await writeFile(prompts, `${lines.join("\n")}\n`);
      const args = ["generate", "--model", model, "--max-tokens", "9"];
      const one = await danu([...args, "--seed", "4", "--prompts", prompts, "--batch", "1"]);
      const together = await danu([...args, "--seed", "4", "--prompts", prompts, "--batch", "3"]);
      expect(one.code).toBe(0);
      expect(together.stdout).toBe(one.stdout);
      const rows = together.stdout.trim().split("\n").map((line) => JSON.parse(line) as Row);
      const texts = lines.filter((line) => line !== "");
      expect(rows.map(({ prompt }) => prompt)).toEqual(texts);
      for (const [i, { text, ids }] of rows.entries()) {
        const alone = await danu([...args, "--seed", String(4 + i), "--prompt", texts[i]!, "--json"]);
        expect(JSON.parse(alone.stdout)).toEqual({ prompt: texts[i], text, ids });
      }
    });
  });

  test("JSONL: prompts, questions with --chat, conversations; fields of a row stay, and --out takes the rows", async () => {
    await inFolder(async (folder) => {
      const model = await tinyChatModel(folder, chatMl);
      const prompts = join(folder, "prompts.jsonl");
      const messages = [{ role: "system", content: "answer" }, { role: "user", content: "who?" }];
      await writeFile(prompts, [JSON.stringify({ id: 7, prompt: "who?" }), "\"the user\"", JSON.stringify({ messages })].join("\n"));
      const out = join(folder, "out.jsonl");
      const args = ["generate", "--model", model, "--max-tokens", "6", "--temperature", "0", "--prompts", prompts];
      const { stdout } = await danu([...args, "--out", out, "--json"]);
      const rows = (await readFile(out, "utf8")).trim().split("\n").map((line) => JSON.parse(line) as Row);
      expect(rows).toMatchObject([{ id: 7, prompt: "who?" }, { prompt: "the user" }, { messages }]);
      for (const { ids, end } of rows) expect(end).toBe(ids.length === 6 ? "length" : "stop");
      const tokens = rows.reduce((sum, { ids }) => sum + ids.length, 0);
      expect(JSON.parse(stdout)).toMatchObject({ rows: 3, tokens, out });
      const chat = await danu([...args, "--chat", "--json"]);
      const { texts } = JSON.parse(chat.stdout) as { texts: Row[] };
      const asked = await danu(["chat", "--model", model, "--max-tokens", "6", "--temperature", "0", "--prompt", "who?", "--json"]);
      expect(texts[0]!.ids).toEqual((JSON.parse(asked.stdout) as { turns: Row[] }).turns[0]!.ids);
      expect(texts[0]!.ids).not.toEqual(rows[0]!.ids);
      expect(texts[2]).toEqual(rows[2]);
      const single = await danu(["generate", "--model", model, "--max-tokens", "6", "--temperature", "0", "--chat", "--prompt", "who?", "--json"]);
      expect((JSON.parse(single.stdout) as Row).ids).toEqual(texts[0]!.ids);
    });
  });

  test.each([
    ["{\"prompt\": \"a\"}\n{\"text\": \"b\"}\n", /prompts\.jsonl:2: expected a row with "prompt", a text, or "messages", a list, got/],
    ["{\"prompt\": \"a\"}\n\n{\"prompt\": \n", /prompts\.jsonl:3: .*JSON/],
    ["{\"messages\": [{\"role\": \"user\"}]}", /prompts\.jsonl:1: message 0: expected content to be a string/],
    ["null", /prompts\.jsonl:1: expected a row/],
    [JSON.stringify("the question ".repeat(40)), /prompts\.jsonl:1: expected a prompt of fewer than 64 tokens/],
    ["\n\n", /prompts\.jsonl: expected prompts, got an empty file/],
  ])("a bad row is named before anything is generated: %j", async (content, message) => {
    await inFolder(async (folder) => {
      const model = await tinyChatModel(folder, chatMl, { maxPositions: 64 });
      const prompts = join(folder, "prompts.jsonl");
      await writeFile(prompts, content);
      const { code, stdout, stderr } = await danu(["generate", "--model", model, "--prompts", prompts]);
      expect({ code, stdout }).toEqual({ code: 1, stdout: "" });
      expect(stderr).toMatch(message);
    });
  });

  test("either one prompt or a file of them", async () => {
    const { code, stderr } = await danu(["generate", "--model", "x", "--prompt", "a", "--prompts", "b"]);
    expect(code).toBe(2);
    expect(stderr).toContain("expected --prompt or --prompts, got both");
  });
});

test("the benches of generation say what they measured", async () => {
  const prefill = await danu(["bench", "prefill", "--preset", "nano", "--prompt", "20", "--runs", "1", "--profile", "--json"]);
  expect(JSON.parse(prefill.stdout)).toMatchObject({
    preset: "nano", dtype: "bf16", prompt: 20, tokensPerSecond: expect.any(Number) as number, gflops: expect.any(Number) as number,
    shareOfPeak: expect.any(Number) as number, profile: expect.arrayContaining([expect.objectContaining({ op: "linear" })]) as unknown,
  });
  const decode = ["bench", "decode", "--preset", "nano", "--dtype", "f32", "--prompt", "300", "--tokens", "3", "--runs", "1"];
  expect(JSON.parse((await danu([...decode, "--json"])).stdout)).toMatchObject({
    preset: "nano", dtype: "f32", prompt: 300, tokens: 3, tokensPerSecond: expect.any(Number) as number,
    gigabytesPerSecond: expect.any(Number) as number, shareOfBandwidth: expect.any(Number) as number,
  });
  expect((await danu(decode)).stdout).toMatch(/nano f32, 3 tokens after 300, cpu .*\n[\d.]+ tokens\/s .* of the measured bandwidth\n/);
});

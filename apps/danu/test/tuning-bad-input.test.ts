import { existsSync } from "node:fs";
import { cp, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";

import { afterAll, beforeAll, describe, expect, test } from "vitest";

import { danu, inFolder, type Outcome } from "./support.ts";
import { putChats, putModel, putPairs, putRows } from "./tiny-tuning.ts";

/** One sentence on standard error, nothing on standard output but progress, exit code 1. */
function expectSentence({ code, stderr }: Outcome, ...parts: readonly (string | RegExp)[]): void {
  expect(stderr).toMatch(/^danu [a-z]+: [^\n]+\n$/);
  for (const part of parts) expect(stderr).toMatch(part);
  expect(code).toBe(1);
}

let folder = "";
let release: () => void;

beforeAll(async () => {
  await new Promise<void>((ready, fail) => {
    void inFolder(async (made) => {
      folder = made;
      await putModel(folder);
      await putChats(folder);
      await putPairs(folder);
      ready();
      await new Promise<void>((done) => {
        release = done;
      });
    }).catch(fail);
  });
});
afterAll(() => release());

const user = (content: string): object => ({ role: "user", content });
const assistant = (content: string): object => ({ role: "assistant", content });
const chat = (...messages: readonly object[]): object => ({ messages });
const good = chat(user("Say red mill."), assistant("The mill is red."));
const long = "Say red mill. ".repeat(40);

function sft(data: string, out: string, ...flags: readonly string[]): Promise<Outcome> {
  return danu([
    "sft", "--model", join(folder, "base"), "--data", data, "--sequence-length", "48", "--tokens-per-batch", "48",
    "--steps", "1", "--validation-fraction", "0", "--out", out, ...flags,
  ]);
}

function dpo(data: string, out: string, ...flags: readonly string[]): Promise<Outcome> {
  return danu([
    "dpo", "--model", join(folder, "base"), "--data", data, "--sequence-length", "48", "--steps", "1",
    "--validation-fraction", "0", "--out", out, ...flags,
  ]);
}

const badChats: readonly (readonly [string, unknown, RegExp])[] = [
  ["no JSON", "{ messages", /not valid JSON/],
  ["an empty turn", chat(user("Say red mill."), assistant("  ")), /message 1 \(assistant\) is empty/],
  ["roles out of order", chat(user("a"), user("b"), assistant("c")), /roles out of order: message 1 is user after user/],
  ["no answer", chat(user("Say red mill.")), /no answer of the assistant follows/],
  [
    "a prompt longer than the context", chat(user(long), assistant("The mill is red.")),
    /the prompt has \d{3} tokens, which leaves no room for an answer in 48; train with longer sequences/,
  ],
  ["other fields", { question: "a" }, /expected messages as in the rows before/],
  [
    "a conversation that the template refuses",
    chat(user("a"), assistant("b"), { role: "tool", content: "c" }, assistant("d")), /the chat template refuses the conversation/,
  ],
];

describe("a malformed conversation", () => {
  test.each(badChats)("with %s stops before the first step, with file, line and reason", async (_, row, reason) => {
    const data = await putRows(join(folder, "bad.jsonl"), [good, row]);
    const out = join(folder, "refused");
    expectSentence(await sft(data, out), `${data}:2: `, reason, /mend the row, or pass over such rows with --skip-bad-rows/);
    expect(existsSync(out)).toBe(false);
  });

  test("is kept aside with --skip-bad-rows, and the others are trained", async () => {
    const data = await putRows(join(folder, "mixed.jsonl"), [good, ...badChats.map(([, row]) => row), good]);
    const out = join(folder, "mixed");
    const { code, stdout, stderr } = await sft(data, out, "--skip-bad-rows");
    expect(code).toBe(0);
    expect(stderr).toContain(`passed over ${badChats.length} malformed rows, see quarantine.jsonl in the run folder`);
    expect(stdout).toContain("2 conversations");
    const lines = (await readFile(join(out, "quarantine.jsonl"), "utf8")).trim().split("\n");
    const kept = lines.map((line) => JSON.parse(line) as { source: string; line: number; reason: string; row: string });
    expect(kept.map(({ source, line }) => [source, line])).toEqual(badChats.map((__, i) => [data, i + 2]));
    for (const [i, [, row, reason]] of badChats.entries()) {
      expect(kept[i]!.reason).toMatch(reason);
      expect(kept[i]!.row).toBe(typeof row === "string" ? row : JSON.stringify(row));
    }
  });

  test("alone leaves nothing to train on", async () => {
    const data = await putRows(join(folder, "none.jsonl"), [chat(user("a"), assistant(" "))]);
    const out = join(folder, "none");
    const { code, stderr } = await sft(data, out, "--skip-bad-rows");
    expect(code).toBe(1);
    expect(stderr).toContain(`${data}: expected conversations to train on, got none`);
    expect(existsSync(out)).toBe(false);
  });
});

const pair = (prompt: string, chosen: string, rejected: string): object => ({ prompt, chosen, rejected });
const goodPair = pair("Say red mill.", "The mill is red.", "red no mill no.");

test.each([
  ["equal answers", pair("Say red mill.", "Red.", "Red."), /chosen and rejected are the same/],
  ["answers that are equal once they are cut", pair("a", `${long}x`, `${long}y`), /the same in their first 48 tokens/],
  ["an empty answer", pair("a", "", "b"), /is empty/],
  ["a prompt longer than the context", pair(long, "a", "b"), /chosen: the prompt has \d{3} tokens, which leaves no room/],
  ["one answer", { prompt: "a", chosen: "b" }, /expected .* as in the rows before/],
])("a pair with %s is refused, or kept aside", async (_, row, reason) => {
  const data = await putRows(join(folder, "bad-pairs.jsonl"), [goodPair, goodPair, row]);
  const out = join(folder, "pairs-run");
  expectSentence(await dpo(data, out), `${data}:3: `, reason);
  expect(existsSync(out)).toBe(false);
  const skipped = join(folder, `skipped-${_.replaceAll(" ", "-")}`);
  const { code, stderr } = await dpo(data, skipped, "--skip-bad-rows");
  expect({ code, stderr }).toMatchObject({ code: 0, stderr: expect.stringContaining("passed over 1 malformed row,") as string });
  expect(JSON.parse(await readFile(join(skipped, "quarantine.jsonl"), "utf8"))).toMatchObject({
    source: data, line: 3, reason: expect.stringMatching(reason) as string,
  });
});

test("what the other command trains on is refused with its name", async () => {
  const out = join(folder, "other");
  expectSentence(await sft(join(folder, "pairs.jsonl"), out), /they are .*, which readPreferences takes; give them to danu dpo/);
  expectSentence(await dpo(join(folder, "chats.jsonl"), out), /they are .*, which readConversations takes; give them to danu sft/);
  expect(existsSync(out)).toBe(false);
});

describe("a model folder", () => {
  async function changed(name: string, change: (config: Record<string, unknown>) => object): Promise<string> {
    const path = join(folder, name);
    await cp(join(folder, "base"), path, { recursive: true });
    const file = join(path, "tokenizer_config.json");
    await writeFile(file, JSON.stringify(change(JSON.parse(await readFile(file, "utf8")) as Record<string, unknown>)));
    return path;
  }
  const refused = async (model: string, ...parts: readonly (string | RegExp)[]): Promise<void> => {
    const out = join(folder, "model-run");
    for (const command of ["sft", "dpo"]) {
      const data = join(folder, command === "sft" ? "chats.jsonl" : "pairs.jsonl");
      expectSentence(await danu([command, "--model", model, "--data", data, "--out", out]), ...parts);
      expect(existsSync(out)).toBe(false);
    }
  };

  test("whose template writes an unknown variable", async () => {
    const template = "{% for m in messages %}{{ m.content }}{{ eos_tokn }}{% endfor %}";
    const model = await changed("unknown-variable", (config) => ({ ...config, chat_template: template }));
    await refused(model, "chat template: it writes the variable eos_tokn, which nothing gives it");
  });

  test("whose template is no template", async () => {
    await refused(await changed("no-template", (config) => ({ ...config, chat_template: "{% for %}" })), "chat template");
  });

  test("whose tokenizer has no end-of-sequence token", async () => {
    const model = await changed("no-eos", (config) => ({ ...config, eos_token: null }));
    await refused(model, "expected a tokenizer with an end-of-sequence token");
  });

  test("that is not there", async () => {
    await refused(join(folder, "nowhere"), /nowhere/);
  });
});

test.each([
  [["--tokens-per-batch", "100"], /tokensPerBatch: expected a multiple of sequenceLength, 48, got 100/],
  [["--dtype", "fp8", "--lora-rank", "2"], /dtype: expected f32 or bf16, since an adapter is trained, got "fp8"/],
  [["--sequence-length", "65"], /sequenceLength: expected at most the model's 64 positions, got 65/],
  [["--format", "alpacca"], /format: expected one of messages, .*, got "alpacca"/],
])("flags %j are refused", async (flags, message) => {
  const own = flags[0] === "--format" ? [] : ["--sequence-length", "48"];
  const given = flags[0] === "--sequence-length" ? [] : own;
  const out = join(folder, "flags");
  expectSentence(
    await danu(["sft", "--model", join(folder, "base"), "--data", join(folder, "chats.jsonl"), ...given, ...flags, "--out", out]),
    message,
  );
  expect(existsSync(out)).toBe(false);
});

test.each([
  ["sft", { epochs: 1, steps: 1 }, /expected epochs or steps, got both/],
  ["sft", { command: "dpo" }, /command: expected one of sft, got "dpo"/],
  ["sft", { dtype: "fp8", lora: { rank: 2 } }, /recipe\.json: dtype: expected f32 or bf16, since an adapter is trained/],
  ["sft", { lora: { rnk: 1 } }, /lora: expected fields of rank, .*, got "rnk"; did you mean rank\?/],
  ["sft", { lora: { targets: ["head"] } }, /lora\.targets\[0\]: expected one of query, .*, got "head"/],
  ["dpo", { losses: [{ loss: "dpo" }] }, /losses\[0\]\.loss: expected one of sigmoid, .*, got "dpo"/],
  ["dpo", { losses: [{ loss: "sigmoid", beta: -1 }] }, /expected a number above 0 for beta, got -1/],
  ["dpo", { losses: [] }, /losses: expected at least one element/],
])("a recipe of %s with %j is refused", async (command, fields, message) => {
  const recipe = join(folder, "recipe.json");
  await writeFile(recipe, JSON.stringify({ model: "base", data: { paths: ["chats.jsonl"] }, ...fields }));
  expectSentence(await danu([command, "--recipe", recipe, "--out", join(folder, "recipe-run")]), message);
});

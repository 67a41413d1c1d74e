import { existsSync } from "node:fs";
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";

import { adapt, Decoder, openModelFolder, readAdapter } from "@danu/model";
import { disposeTree, referenceDevice, tensor, type Tensor } from "@danu/tensor";
import { relativeError } from "@danu/testing";
import { expect, test } from "vitest";

import { loadWeights } from "../src/run/tuning/tuned-model.ts";
import { logOf, remainsOf } from "./run-remains.ts";
import { danu, inFolder, noShared, shared } from "./support.ts";
import { putChats, putModel, questions } from "./tiny-tuning.ts";

interface Result {
  readonly loss: number;
  readonly model: string;
  readonly adapter: string | null;
  readonly sample: { readonly prompt: string; readonly text: string };
  readonly validation: { readonly loss: number };
  readonly initialValidation: { readonly loss: number };
}

const base = [
  "--sequence-length", "48", "--tokens-per-batch", "192", "--micro-batch-tokens", "96", "--validation-fraction", "0.2",
  "--validate-every", "5", "--checkpoint-every", "6", "--learning-rate", "3e-3",
];

test.each([
  ["all weights with noise", ["--neftune-alpha", "5", "--dtype", "f32"]],
  ["an adapter with dropout", ["--lora-rank", "2", "--lora-dropout", "0.2", "--dora", "--dtype", "bf16"]],
])("%s: stopped and resumed equals the straight run bit for bit", async (_, flags) => {
  await inFolder(async (folder) => {
    const asked = ["--model", await putModel(folder), "--data", await putChats(folder), "--steps", "12", ...base, ...flags];
    const straight = join(folder, "straight");
    const first = await danu(["sft", ...asked, "--out", straight, "--json"]);
    expect(first.stderr).toContain("step 12/12");
    expect(JSON.parse(first.stdout)).toMatchObject({ stopped: "complete", step: 12, tokens: 12 * 192 });

    const out = join(folder, "stopped");
    let isAsked = false;
    const onText = (text: string): void => {
      if (isAsked || !text.includes("step  8/12")) return;
      isAsked = true;
      process.emit("SIGTERM", "SIGTERM");
    };
    const stopped = await danu(["sft", ...asked, "--out", out], { isTTY: true, onText });
    expect(stopped.code).toBe(143);
    expect(stopped.stdout).toContain("npx danu sft --out");
    expect(existsSync(join(out, "model"))).toBe(false);
    const resumed = await danu(["sft", "--out", out, "--resume"]);
    expect({ code: resumed.code, stderr: resumed.stderr }).toEqual({ code: 0, stderr: "" });
    expect(await remainsOf(out)).toEqual(await remainsOf(straight));
    expect((await logOf(out)).map(({ initialValidation }) => initialValidation !== undefined)).toEqual(
      [true, ...Array<boolean>(11).fill(false)],
    );

    const other = await danu(["sft", "--out", out, "--resume", "--learning-rate", "1"]);
    expect(other.stderr).toContain("learningRate.peak: expected 0.003 as when the run began, got 1");
    await putModel(folder, "base", 2);
    const changed = await danu(["sft", "--out", out, "--resume"]);
    expect(changed.stderr).toContain("expected the weights that the run began with");
    const runs = await danu(["runs", folder, "--json"]);
    expect(JSON.parse(runs.stdout)).toMatchObject([
      { folder: out, command: "sft", step: 12, steps: 12, complete: true },
      { folder: straight, command: "sft", complete: true },
    ]);
  });
});

test("a model learns to answer, ends its answers, and knows its template", async () => {
  await inFolder(async (folder) => {
    const model = await putModel(folder);
    const { code, stdout } = await danu([
      "sft", "--model", model, "--data", await putChats(folder), "--epochs", "60", ...base, "--out", join(folder, "run"), "--json",
    ]);
    expect(code).toBe(0);
    const result = JSON.parse(stdout) as Result;
    expect(result.initialValidation.loss).toBeGreaterThan(4);
    expect(result.validation.loss).toBeLessThan(1.5);
    expect(result.adapter).toBeNull();
    expect(result.sample.prompt).toMatch(/^<\|prompt\|>\s?Say .*<\/s>\s?<\|answer\|>$/);
    // Held out: the words are of the question, and the answer has an end.
    expect(result.sample.text.trim()).toMatch(/^The \w+ is \w+\.$/);
    const config = JSON.parse(await readFile(join(result.model, "tokenizer_config.json"), "utf8")) as Record<string, unknown>;
    expect(config["chat_template"]).toContain("<|answer|>");
    expect(config["eos_token"]).toBe("</s>");
    const answer = await danu(["chat", "--model", result.model, "--prompt", questions[0]!.question, "--temperature", "0", "--json"]);
    expect(answer.stderr).not.toContain("no chat template");
    expect(answer.stdout).toMatch(/The \w+ is \w+\./);
    expect(await readFile(join(folder, "run", "report.html"), "utf8")).toContain("Fine-tuning base");
  });
});

test("the merged model gives what the base gives with the adapter", async () => {
  await inFolder(async (folder) => {
    const model = await putModel(folder);
    const { stdout } = await danu([
      "sft", "--model", model, "--data", await putChats(folder), "--steps", "20", ...base, "--lora-rank", "4", "--rslora",
      "--lora-targets", "query", "value", "down", "--out", join(folder, "run"), "--dtype", "f32", "--json",
    ]);
    const result = JSON.parse(stdout) as Result;
    expect(result.validation.loss).toBeLessThan(result.initialValidation.loss - 0.05);
    using device = referenceDevice();
    await using opened = await openModelFolder(model);
    using decoder = new Decoder(device, opened.config);
    const { lora, adapter } = await readAdapter(device, result.adapter!, opened.config);
    expect(lora).toMatchObject({ rank: 4, rankStabilized: true, targets: ["query", "value", "down"] });
    const [weights, merged] = [await loadWeights(device, model, "f32"), await loadWeights(device, result.model, "f32")];
    const ids = [1, 5, 9, 40, 100, 7];
    const row = (values: readonly number[]): Tensor => tensor(device, values, [1, ids.length], "i32");
    const input = { ids: row(ids), positions: row(ids.map((__, i) => i)), documentStart: null };
    const logits = [adapt(weights, adapter, lora), merged, weights].map((params) => decoder.logits(params, input));
    const [adapted, ofMerged, plain] = await Promise.all(logits.map((values) => values.read()));
    expect(relativeError(ofMerged!, adapted!)).toBeLessThan(1e-5);
    expect(relativeError(plain!, adapted!)).toBeGreaterThan(1e-3);
    disposeTree([logits, weights, merged, adapter, input]);
  });
});

test("how a step is cut into micro-batches changes nothing", async () => {
  await inFolder(async (folder) => {
    const asked = ["sft", "--model", await putModel(folder), "--data", await putChats(folder), "--steps", "4", ...base];
    const losses: unknown[] = [];
    for (const tokens of ["48", "192"]) {
      const { stdout } = await danu([
        ...asked.filter((_, i) => !["--micro-batch-tokens", "96"].includes(asked[i]!)), "--micro-batch-tokens", tokens,
        "--dtype", "f32", "--out", join(folder, tokens), "--json",
      ]);
      losses.push((JSON.parse(stdout) as Result).loss);
    }
    expect(losses[0]).toBeCloseTo(losses[1] as number, 4);
  });
});

test("a recipe file names its data beside itself, and held-out data of its own", async () => {
  await inFolder(async (folder) => {
    await putModel(folder);
    await putChats(folder);
    const recipe = join(folder, "recipe.json");
    await writeFile(recipe, JSON.stringify({
      command: "sft", model: "base", data: { paths: ["chats.jsonl"] }, validation: { paths: ["chats.jsonl"], examples: 5 },
      epochs: 9, sequenceLength: 32, tokensPerBatch: 64,
    }));
    const { code, stdout } = await danu(["sft", "--recipe", recipe, "--steps", "1", "--out", join(folder, "run")]);
    expect(code).toBe(0);
    expect(stdout).toContain(`${questions.length} conversations`);
    expect(stdout).toContain("5 held out");
    const resolved = JSON.parse(await readFile(join(folder, "run", "recipe.json"), "utf8")) as Record<string, unknown>;
    expect(resolved).toMatchObject({ epochs: null, steps: 1, model: join(folder, "base"), lora: null });
  });
});

test("another chat template is learned, and goes with the model", async () => {
  await inFolder(async (folder) => {
    const template = join(folder, "chat.jinja");
    const source = "{% for m in messages %}{{ m.role }}: {{ m.content }}{{ eos_token }}{% endfor %}"
      + "{% if add_generation_prompt %}assistant: {% endif %}";
    await writeFile(template, source);
    const { code, stdout } = await danu([
      "sft", "--model", await putModel(folder), "--data", await putChats(folder), "--chat-template", template, "--steps", "1",
      "--sequence-length", "48", "--out", join(folder, "run"), "--json",
    ]);
    expect(code).toBe(0);
    const { model, sample } = JSON.parse(stdout) as Result;
    expect(sample.prompt).toMatch(/^user: Say .*<\/s>\s?assistant: $/);
    const config = JSON.parse(await readFile(join(model, "tokenizer_config.json"), "utf8")) as Record<string, unknown>;
    expect(config["chat_template"]).toBe(source);
  });
});

test("no more is held out than is measured, and what shares a question with it is not trained", async () => {
  await inFolder(async (folder) => {
    await putModel(folder);
    const data = await putChats(folder);
    const recipe = join(folder, "recipe.json");
    await writeFile(recipe, JSON.stringify({ model: "base", validation: { fraction: 0.5, examples: 3 }, steps: 1, sequenceLength: 32 }));
    // Every question twice: of the three that are held out, the second time too.
    const { code, stdout } = await danu(["sft", "--recipe", recipe, "--data", data, data, "--out", join(folder, "run")]);
    expect(code).toBe(0);
    expect(stdout).toContain(`${2 * (questions.length - 3)} conversations`);
    expect(stdout).toContain("; 3 held out");
  });
});

// Needs the real conversations beside the repository.
test.skipIf(noShared)("real conversations of every format go through two steps", async () => {
  await inFolder(async (folder) => {
    const model = await putModel(folder);
    const files = [
      "llama-factory/identity.json", "llama-factory/v1_sft_demo.jsonl", "oasst/en_100_tree.jsonl",
      "vicuna/dummy_conversation.json", "dolly/llm-foundry_finetune_example_train.jsonl",
    ];
    const { code, stdout } = await danu([
      "sft", "--model", model, "--data", ...files.map((name) => join(shared, "sft", name)), "--skip-bad-rows", "--steps", "2",
      "--sequence-length", "64", "--tokens-per-batch", "128", "--out", join(folder, "run"), "--json",
    ]);
    expect(code).toBe(0);
    const { validation } = JSON.parse(stdout) as Result;
    expect(validation.loss).toBeGreaterThan(3);
    expect(validation.loss).toBeLessThan(8);
  });
});

import { readFile } from "node:fs/promises";
import { join } from "node:path";

import { encodeChat } from "@danu/data";
import { referenceDevice } from "@danu/tensor";
import { expect, test } from "vitest";

import { chatTemplateOf } from "../src/model/chat-template.ts";
import { computeLogits } from "../src/model/compute-logits.ts";
import { loadModel } from "../src/model/open-model.ts";
import { openTokenizer } from "../src/model/tokenizer-file.ts";
import type { Examination } from "../src/quickstart/examination.ts";
import type { StageResult } from "../src/quickstart/results.ts";
import { danu, inFolder } from "./support.ts";

interface Result {
  readonly stages: readonly StageResult[];
  readonly transcript: readonly { readonly question: string; readonly answer: string }[];
  readonly model: string;
}

const small = ["--steps", "4", "--epochs", "0.1"];

/** Log-probabilities of answers, from the scores of every next token on the reference device. */
async function logProbabilities(folder: string, asked: readonly (readonly [prompt: string, answer: string])[]): Promise<number[]> {
  using device = referenceDevice();
  using model = await loadModel(device, folder, "f32");
  const file = await openTokenizer(folder);
  const V = model.config.vocabularySize;
  const sums: number[] = [];
  for (const [prompt, content] of asked) {
    const messages = [{ role: "user", content: prompt }, { role: "assistant", content }];
    const { ids, trained } = encodeChat(file.tokenizer, chatTemplateOf(file), messages);
    const logits = await computeLogits(device, model, { rows: 1, columns: ids.length, ids }, () => undefined);
    sums.push(ids.reduce((sum, id, t) => {
      if (trained[t] !== 1) return sum;
      const row = logits.subarray((t - 1) * V, t * V);
      const top = row.reduce((most, x) => Math.max(most, x));
      return sum + row[id]! - top - Math.log(row.reduce((total, x) => total + Math.exp(x - top), 0));
    }, 0));
  }
  return sums;
}

test("danu quickstart goes through all stages, examines each, and goes on where it was stopped", async () => {
  await inFolder(async (folder) => {
    const out = join(folder, "quick");
    let [isTuning, isAsked] = [false, false];
    const onText = (text: string): void => {
      isTuning ||= text.includes("2. Supervised fine-tuning");
      if (isAsked || !isTuning || !text.includes("step 1/")) return;
      isAsked = true;
      process.emit("SIGTERM", "SIGTERM");
    };
    const stopped = await danu(["quickstart", "--out", out, ...small], { onText });
    expect(stopped.code).toBe(143);
    expect(stopped.stderr).toContain("stopped by SIGTERM; the same command goes on from there");
    expect(stopped.stdout).toMatch(/pretrained on stories: questions right \d/);

    const first = await danu(["quickstart", "--out", out, ...small]);
    expect(first).toMatchObject({ code: 0, stderr: "" });
    expect(first.stdout).not.toContain("1. Pretraining");
    expect(first.stdout).toMatch(/^\+ preferences \(DPO\) .*%.*%/m);
    expect(first.stdout).toContain("npx danu chat --model");

    const again = await danu(["quickstart", "--out", out, ...small, "--json"]);
    const { stages, transcript, model } = JSON.parse(again.stdout) as Result;
    expect(stages.map(({ stage, steps }) => [stage, steps])).toEqual([["pretrain", 4], ["sft", expect.any(Number)], ["dpo", expect.any(Number)]]);
    expect(transcript.length).toBeGreaterThan(2);
    const { questions, pairs } = JSON.parse(await readFile(join(out, "examination.json"), "utf8")) as Examination;
    for (const stage of stages) {
      expect(stage.questions.of).toBe(questions.length);
      expect(stage.preferences.of).toBe(pairs.length);
      expect(stage.answers.map(({ question }) => question)).toEqual(questions.map(({ question }) => question));
      expect(stage.answers.filter(({ right }) => right)).toHaveLength(stage.questions.right);
    }

    // The last examination's preferences, from scores computed another way.
    const some = pairs.slice(0, 4);
    const sums = await logProbabilities(model, some.flatMap(({ prompt, chosen, rejected }) => [[prompt, chosen], [prompt, rejected]] as const));
    expect(stages[2]!.preferred.slice(0, 4)).toEqual(some.map(({ prompt, fault }, i) => (
      { prompt, fault, right: sums[2 * i]! > sums[2 * i + 1]! }
    )));

    const report = await readFile(join(out, "report.html"), "utf8");
    for (const text of ["From nothing to a chat model", "pretrain/report.html", "better answer preferred", questions[0]!.question.replace("'", "&#39;")]) {
      expect(report).toContain(text);
    }
    expect(report.match(/<svg/g)).toHaveLength(3);
    expect(report).not.toMatch(/https?:|src=|NaN|undefined/);

    const other = await danu(["quickstart", "--out", out, "--steps", "5"]);
    expect(other.code).toBe(1);
    expect(other.stderr).toContain("expected 4 steps as when it began, got 5");
  });
}, 400_000);

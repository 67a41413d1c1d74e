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

/** Log-probability of an answer, from the scores of every next token on the reference device. */
async function logProbability(folder: string, prompt: string, content: string): Promise<number> {
  using device = referenceDevice();
  using model = await loadModel(device, folder, "f32");
  const file = await openTokenizer(folder);
  const messages = [{ role: "user", content: prompt }, { role: "assistant", content }];
  const { ids, trained } = encodeChat(file.tokenizer, chatTemplateOf(file), messages);
  const V = model.config.vocabularySize;
  const logits = await computeLogits(device, model, { rows: 1, columns: ids.length, ids }, () => undefined);
  return ids.reduce((sum, id, t) => {
    if (trained[t] !== 1) return sum;
    const row = logits.subarray((t - 1) * V, t * V);
    const top = row.reduce((a, b) => Math.max(a, b));
    return sum + row[id]! - top - Math.log(row.reduce((total, x) => total + Math.exp(x - top), 0));
  }, 0);
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
    const ofFault = pairs.filter(({ fault }) => fault === "wrong").slice(0, 6);
    const margins = await Promise.all(ofFault.map(async ({ prompt, chosen, rejected }) => (
      (await logProbability(model, prompt, chosen)) - (await logProbability(model, prompt, rejected))
    )));
    expect(margins.map((margin) => margin > 0)).toEqual(ofFault.map(({ prompt, fault }) => (
      stages[2]!.preferred.find((pair) => pair.prompt === prompt && pair.fault === fault)!.right
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
});

import { join } from "node:path";

import { signalExitCode } from "../cli/errors.ts";
import { duration, percent, withCommas } from "../cli/format.ts";
import { readJson } from "../cli/read-file.ts";
import type { RunResult } from "../run/execute-run.ts";
import { shown } from "../run/finish.ts";
import { writeCorpus } from "./corpus.ts";
import { examine } from "./examine.ts";
import type { Examination } from "./examination.ts";
import { writeQuickstartReport } from "./report.ts";
import { StageResults, type StageResult } from "./results.ts";
import { lossCurves, resultTable, share, stageTitles } from "./show-results.ts";
import { modelFolder, runStage, stageNames, tokensPerStep, type StageName, type StageOptions } from "./stages.ts";
import { transcript, type Exchange } from "./transcript.ts";

/** What a quickstart is run with. */
export type QuickstartOptions = Omit<StageOptions, "corpus">;

/** Stories for one pass and a bit more: none is told twice. */
const storiesPerStep = tokensPerStep / 75;

const headings: Readonly<Record<StageName, string>> = {
  pretrain: "Pretraining: stories, in which everything is told",
  sft: "Supervised fine-tuning: conversations, good and bad",
  dpo: "Preference tuning: which answers are better",
};

/** Makes the data, runs the stages with an examination after each, and shows what they came to. Stages that are over are
 *  not run again. @returns the exit code  @throws the errors of the stages */
export async function runQuickstart(options: QuickstartOptions): Promise<number> {
  const { folder, steps, epochs, seed, device, reporter } = options;
  const began = performance.now();
  const results = await StageResults.open(folder, { steps, epochs, seed });
  const stories = Math.ceil(steps * storiesPerStep);
  const corpus = await writeCorpus(folder, seed, stories);
  const examination = (await readJson(corpus.examination)) as Examination;
  reporter.line(`${withCommas(stories)} stories of a village that does not exist, conversations about it, and an examination of `
    + `${examination.questions.length} questions are in ${shown(folder)}`);
  for (const [i, stage] of stageNames.entries()) {
    if (results.of(stage) !== undefined) continue;
    reporter.line();
    reporter.line(reporter.style("bold", `${i + 1}. ${headings[stage]}`));
    const run = await runStage(stage, { ...options, corpus });
    if (run.interruptedBy !== null) {
      reporter.note(`stopped by ${run.interruptedBy}; the same command goes on from there`);
      reporter.result({ out: folder, stopped: "signal", stages: results.all });
      return signalExitCode(run.interruptedBy);
    }
    const result = await examined(stage, run, options, examination);
    await results.add(result);
    const { questions, preferences } = result;
    reporter.line(`${stageTitles[stage]}: questions right ${share(questions)}, better answer preferred ${share(preferences)}`);
  }
  const model = modelFolder(folder, "dpo");
  const said = await transcript(device.device, model, examination);
  const report = join(folder, "report.html");
  await writeQuickstartReport(report, folder, results.all, said);
  const seconds = (performance.now() - began) / 1000;
  reporter.result({ out: folder, stopped: "complete", stages: results.all, transcript: said, report, model, seconds });
  if (!reporter.json) await showEnd(options, results.all, said, seconds);
  return 0;
}

async function examined(
  stage: StageName, run: RunResult, { folder, device, reporter }: QuickstartOptions, examination: Examination,
): Promise<StageResult> {
  const began = performance.now();
  const result = await examine(device.device, modelFolder(folder, stage), examination, (done) => {
    reporter.progress(`examining: ${percent(done)}`);
  });
  return { stage, ...result, steps: run.step, seconds: run.seconds, examSeconds: (performance.now() - began) / 1000 };
}

/** The table, the curves, the talk, and how to go on. */
async function showEnd(
  { folder, reporter }: QuickstartOptions, results: readonly StageResult[], said: readonly Exchange[], seconds: number,
): Promise<void> {
  reporter.line();
  reporter.line(resultTable(results));
  reporter.line();
  reporter.line(await lossCurves(folder, results, 60));
  for (const { question, answer } of said) {
    reporter.line();
    reporter.line(`${reporter.style("bold", ">")} ${question}`);
    reporter.line(answer);
  }
  const model = shown(modelFolder(folder, "dpo"));
  reporter.line();
  reporter.line(`done in ${duration(seconds)}; all of it in ${shown(join(folder, "report.html"))}`);
  reporter.line("go on with");
  reporter.line(`  npx danu chat --model ${model}`);
  reporter.line(`  npx danu generate --model ${shown(modelFolder(folder, "pretrain"))} --prompt "One day Mara"`);
  reporter.line(`  npx danu data inspect ${shown(join(folder, "preferences.jsonl"))} --tokenizer ${model}`);
}

import { join } from "node:path";

import { signalExitCode } from "../cli/errors.ts";
import { duration, percent, withCommas } from "../cli/format.ts";
import { readJson } from "../cli/read-file.ts";
import { writeCorpus } from "./corpus.ts";
import { examine } from "./examine.ts";
import type { Examination } from "./examination.ts";
import { StageResults } from "./results.ts";
import { writeQuickstartReport } from "./report.ts";
import { lossCurves, resultTable, share, stageTitles } from "./show-results.ts";
import { modelFolder, runStage, stageNames, tokensPerStep, type StageName, type StageOptions } from "./stages.ts";
import { transcript } from "./transcript.ts";

/** What a quickstart is run with. */
export interface QuickstartOptions extends Omit<StageOptions, "corpus"> {
  /** The folder as it is shown. */
  readonly shown: string;
}

/** Stories for one pass and a bit more: none is told twice. */
const storiesPerStep = tokensPerStep / 75;

/** Makes the data, runs the stages with an examination after each, and shows what they came to. Stages that are over are
 *  not run again. @returns the exit code  @throws the errors of the stages */
export async function runQuickstart(options: QuickstartOptions): Promise<number> {
  const { folder, shown, steps, epochs, seed, device, reporter } = options;
  const began = performance.now();
  const stories = Math.ceil(steps * storiesPerStep);
  const results = await StageResults.open(folder, { steps, epochs, seed });
  const corpus = await writeCorpus(folder, seed, stories);
  const examination = (await readJson(corpus.examination)) as Examination;
  reporter.line(`${withCommas(stories)} stories of a village that does not exist, conversations, and an examination of `
    + `${examination.questions.length} questions are in ${shown}`);
  for (const [i, stage] of stageNames.entries()) {
    if (results.of(stage) !== undefined) continue;
    reporter.line();
    reporter.line(reporter.style("bold", `${i + 1}. ${headings[stage]}`));
    const run = await runStage(stage, { ...options, corpus });
    if (run.interruptedBy !== null) {
      reporter.note(`stopped by ${run.interruptedBy}; the same command goes on from there`);
      return signalExitCode(run.interruptedBy);
    }
    const examBegan = performance.now();
    const result = await examine(device.device, modelFolder(folder, stage), examination, (done) => {
      reporter.progress(`examining: ${percent(done)}`);
    });
    const examSeconds = (performance.now() - examBegan) / 1000;
    await results.add({ stage, ...result, steps: run.step, seconds: run.seconds, examSeconds });
    reporter.line(`${stageTitles[stage]}: questions right ${share(result.questions)}, better answer preferred ${share(result.preferences)}`);
  }
  const said = await transcript(device.device, modelFolder(folder, "dpo"), examination);
  const report = join(folder, "report.html");
  await writeQuickstartReport(report, folder, results.all, said);
  const seconds = (performance.now() - began) / 1000;
  const model = modelFolder(shown, "dpo");
  reporter.result({ out: folder, stages: results.all, transcript: said, report, model: modelFolder(folder, "dpo"), seconds });
  if (reporter.json) return 0;
  reporter.line();
  reporter.line(resultTable(results.all));
  reporter.line();
  reporter.line(await lossCurves(folder, results.all, 60));
  reporter.line();
  for (const { question, answer } of said) {
    reporter.line(`${reporter.style("bold", ">")} ${question}`);
    reporter.line(answer);
  }
  reporter.line();
  reporter.line(`done in ${duration(seconds)}; all of it in ${join(shown, "report.html")}`);
  reporter.line("go on with");
  reporter.line(`  npx danu chat --model ${model}`);
  reporter.line(`  npx danu generate --model ${modelFolder(shown, "pretrain")} --prompt "One day Mara"`);
  reporter.line(`  npx danu data inspect ${join(shown, "preferences.jsonl")} --tokenizer ${model}`);
  return 0;
}

const headings: Readonly<Record<StageName, string>> = {
  pretrain: "Pretraining: stories, in which everything is told",
  sft: "Supervised fine-tuning: conversations, good and bad",
  dpo: "Preference tuning: which answers are better",
};

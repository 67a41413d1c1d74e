import { basename } from "node:path";

import { parameterCount } from "@danu/model";

import { counted, percent, short, withCommas } from "../cli/format.ts";
import { checkSftRecipe } from "../recipe/schema.ts";
import { completeSft, type SftLayer } from "../recipe/tuning.ts";
import { executeRun, type RunOptions, type RunResult } from "./execute-run.ts";
import { announceTuning, planTuningMemory } from "./tuning/announce.ts";
import { quarantineFiles } from "./tuning/examples.ts";
import { resolveTuning } from "./tuning/resolve.ts";
import { answerSample } from "./tuning/sample.ts";
import { buildSftParts, type ChatBatch, type SftParts } from "./tuning/sft-parts.ts";
import { chatFilesFor } from "./tuning/source.ts";
import { saveTuned } from "./tuning/tuned-model.ts";

/** Fine-tunes a model on conversations from a recipe, in a run folder of its own, and leaves a model folder there, with
 *  the adapter beside it if one was trained. A run that fails before its first step leaves nothing behind.
 *  @throws InterruptedError, and the errors of its parts */
export async function sft(options: RunOptions<SftLayer>): Promise<RunResult> {
  const { out, device, reporter } = options;
  const { recipe, start } = await resolveTuning(options, { check: checkSftRecipe, complete: completeSft });
  const files = await chatFilesFor(start);
  const memory = planTuningMemory(recipe, start.config, device);
  return await executeRun<ChatBatch, SftParts>(options, {
    recipe,
    head: {
      title: `Fine-tuning ${basename(recipe.model)}`,
      facts: [["model", recipe.model], ["parameters", short(parameterCount(start.config))], ["computed in", recipe.dtype]],
    },
    made: Object.values(quarantineFiles(out)),
    build: ({ folder }, signal) => (
      buildSftParts(device.device, recipe, { recipe, source: start, folder, reporter, signal, memory }, files)
    ),
    announce: (run, peakFlops) => {
      const { examples: { train, validation }, order } = run.parts;
      const trained = train.reduce((sum, { chat }) => sum + chat.trainedTokens, 0);
      const tokens = train.reduce((sum, { chat }) => sum + chat.ids.length, 0);
      announceTuning({
        recipe, config: start.config, run, device, memory, peakFlops, reporter,
        data: `${counted(train.length, "conversation")} of ${short(tokens)} tokens, ${short(trained)} of them trained; `
          + `${withCommas(validation.length)} held out`,
        plan: `${counted(order.steps, "step")} of ${withCommas(recipe.tokensPerBatch)} tokens, in rows of `
          + `${withCommas(recipe.sequenceLength)} filled to ${percent(order.fill)}`,
        cut: train.map(({ chat }) => chat.cut),
      });
    },
    finish: async ({ folder }, { trainer, model, examples }) => {
      const folders = await saveTuned(folder, device.device, recipe, start, trainer.params, files);
      const shown = [...examples.validation, ...examples.train][0]!.chat;
      const weights = model.weights(trainer.compute, null);
      const sample = await answerSample(model.decoder, weights, start, shown);
      reporter.line();
      reporter.line(`${reporter.style("bold", sample.prompt)}${sample.text}`);
      return { ...folders, sample };
    },
  });
}

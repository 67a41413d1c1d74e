import { basename } from "node:path";

import { parameterCount } from "@danu/model";

import { counted, short, withCommas } from "../cli/format.ts";
import { checkDpoRecipe } from "../recipe/schema.ts";
import { completeDpo, type DpoLayer } from "../recipe/tuning.ts";
import { executeRun, type RunOptions, type RunResult } from "./execute-run.ts";
import { announceTuning, planTuningMemory } from "./tuning/announce.ts";
import { buildDpoParts, type DpoParts } from "./tuning/dpo-parts.ts";
import { quarantineFiles } from "./tuning/examples.ts";
import type { PairTensors } from "./tuning/pair-batch.ts";
import { tableFile } from "./tuning/reference-table.ts";
import { resolveTuning } from "./tuning/resolve.ts";
import { answerSample } from "./tuning/sample.ts";
import { chatFilesFor } from "./tuning/source.ts";
import { saveTuned } from "./tuning/tuned-model.ts";

/** Tunes a model on pairs of better and worse answers from a recipe, in a run folder of its own, and leaves a model
 *  folder there, with the adapter beside it if one was trained. A run that fails before its first step leaves nothing
 *  behind. @throws InterruptedError, and the errors of its parts */
export async function dpo(options: RunOptions<DpoLayer>): Promise<RunResult> {
  const { out, device, reporter } = options;
  const { recipe, start } = await resolveTuning(options, { check: checkDpoRecipe, complete: completeDpo });
  const files = await chatFilesFor(start);
  const memory = planTuningMemory(recipe, start.config, device);
  const losses = recipe.losses.map(({ loss }) => loss).join(" + ");
  return await executeRun<PairTensors, DpoParts>(options, {
    recipe,
    head: {
      title: `Preference tuning of ${basename(recipe.model)}`,
      facts: [
        ["model", recipe.model],
        ["parameters", short(parameterCount(start.config))],
        ["loss", losses],
        ["computed in", recipe.dtype],
      ],
    },
    made: [...Object.values(quarantineFiles(out)), tableFile(out)],
    build: ({ folder }, signal) => (
      buildDpoParts(device.device, recipe, { recipe, source: start, folder, reporter, signal, memory }, files)
    ),
    announce: (run, peakFlops) => {
      const { examples: { train, validation }, order } = run.parts;
      const sequences = train.flatMap(({ chosen, rejected }) => [chosen, rejected]);
      const tokens = sequences.reduce((sum, { ids }) => sum + ids.length, 0);
      announceTuning({
        recipe, config: start.config, run, device, memory, peakFlops, reporter,
        data: `${counted(train.length, "pair")} of ${short(tokens)} tokens; ${withCommas(validation.length)} held out`,
        plan: `${counted(order.steps, "step")} of ${counted(recipe.pairsPerBatch, "pair")}, loss ${losses}`,
        cut: sequences.map(({ cut }) => cut),
      });
    },
    finish: async ({ folder }, { trainer, model, examples }) => {
      const folders = await saveTuned(folder, device.device, recipe, start, trainer.params, files);
      const shown = [...examples.validation, ...examples.train][0]!.chosen;
      const sample = await answerSample(model.decoder, model.weights(trainer.compute, null), start, shown);
      reporter.line();
      reporter.line(`${reporter.style("bold", sample.prompt)}${sample.text}`);
      return { ...folders, sample };
    },
  });
}

import { join } from "node:path";

import { parameterCount } from "@danu/model";
import { readRecipe, type Sample } from "@danu/train";

import { fastestDtype } from "../cli/device.ts";
import { short } from "../cli/format.ts";
import { completeText } from "../model/continue-text.ts";
import { saveModel } from "../model/save-model.ts";
import { openTokenizer, tokenizerFilesFor, type TokenizerFile } from "../model/tokenizer-file.ts";
import {
  completeRecipe, requireSameRecipe, requireTokenizer, type Recipe, type RecipeLayer,
} from "../recipe/recipe.ts";
import { checkRecipe } from "../recipe/schema.ts";
import { announcePretraining } from "./announce.ts";
import type { DecoderBatch } from "./decoder-batch.ts";
import { executeRun, type RunOptions, type RunResult } from "./execute-run.ts";
import { planMemory } from "./plan-memory.ts";
import { openRunData, preparedFolders } from "./run-data.ts";
import { buildPretrainParts, type PretrainParts } from "./setup.ts";

/** Trains a decoder on text from a recipe, in a run folder of its own, and leaves a model folder there.
 *  A run that fails before its first step leaves nothing behind.
 *  @throws InterruptedError, and the errors of its parts */
export async function pretrain(options: RunOptions<RecipeLayer>): Promise<RunResult> {
  const { out, device, reporter } = options;
  const { recipe, tokenizer } = await resolveRecipe(options);
  const files = await tokenizerFilesFor(tokenizer, recipe.model);
  const longest = Math.max(...recipe.stages.map((stage) => stage.sequenceLength));
  const memory = planMemory(recipe.model, { ...recipe, tokens: Math.max(longest, recipe.microBatchTokens) }, device);
  return await executeRun<DecoderBatch, PretrainParts>(options, {
    recipe,
    head: {
      title: `Pretraining ${recipe.model.preset}`,
      facts: [
        ["preset", recipe.model.preset],
        ["parameters", short(parameterCount(recipe.model))],
        ["computed in", recipe.dtype],
      ],
    },
    made: preparedFolders(out, recipe.data),
    build: async ({ folder }, signal) => {
      const data = await openRunData({ recipe, tokenizer, folder, reporter, signal });
      try {
        return buildPretrainParts(device.device, recipe, data, files, memory);
      } catch (error) {
        data[Symbol.dispose]();
        throw error;
      }
    },
    announce: (run, peakFlops) => announcePretraining({ recipe, run, device, memory, peakFlops, reporter }),
    finish: async ({ folder }, parts) => {
      const model = join(folder, "model");
      await saveModel(model, recipe.model, parts.trainer.params, files);
      const sample = await writeSample(recipe, parts, tokenizer);
      reporter.line();
      reporter.line(`${reporter.style("bold", sample.prompt)}${sample.text}`);
      return { model, adapter: null, sample };
    },
  });
}

async function resolveRecipe(
  { layer, source, out, resume, device }: RunOptions<RecipeLayer>,
): Promise<{ readonly recipe: Recipe; readonly tokenizer: TokenizerFile }> {
  const stored = resume ? checkRecipe(await readRecipe(out), join(out, "recipe.json")) : {};
  if (resume) requireSameRecipe(layer, stored);
  const whole = resume ? stored : layer;
  const tokenizer = await openTokenizer(requireTokenizer(whole, source));
  const dtype = fastestDtype(device);
  return { recipe: completeRecipe(whole, { tokenizer: tokenizer.tokenizer, dtype, source }), tokenizer };
}

async function writeSample(recipe: Recipe, parts: PretrainParts, { tokenizer }: TokenizerFile): Promise<Sample> {
  const { prompt, ...sampling } = recipe.sample;
  const model = { decoder: parts.decoder, params: parts.trainer.compute };
  return { prompt, text: await completeText(model, tokenizer, prompt, { ...sampling, seed: recipe.seed }) };
}

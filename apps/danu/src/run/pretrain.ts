import { join } from "node:path";

import { interruptOnSignals, readRecipe, type RunPaths, type RunSummary, type Sample } from "@danu/train";

import { measurePeak, type OpenDevice } from "../cli/device.ts";
import type { Reporter } from "../cli/reporter.ts";
import { completeText } from "../model/continue-text.ts";
import { saveModel } from "../model/save-model.ts";
import { openTokenizer, tokenizerFilesFor, type TokenizerFile } from "../model/tokenizer-file.ts";
import {
  completeRecipe, requireSameRecipe, requireTokenizer, type Recipe, type RecipeLayer,
} from "../recipe/recipe.ts";
import { checkRecipe } from "../recipe/schema.ts";
import { announceRun } from "./announce.ts";
import { inRunFolder } from "./in-run-folder.ts";
import { openRun, type OpenRun } from "./open-run.ts";
import { writeRunReport } from "./report.ts";
import { preparedFolders } from "./run-data.ts";
import { trainRun } from "./train-run.ts";

/** What a run is asked to do. */
export interface PretrainOptions {
  /** What the recipe file and the flags say. */
  readonly layer: RecipeLayer;
  /** Names the recipe in messages. */
  readonly source: string;
  /** The run folder. */
  readonly out: string;
  /** Go on from the newest checkpoint in `out`. */
  readonly resume: boolean;
  readonly device: OpenDevice;
  readonly reporter: Reporter;
}

/** What a run did. */
export interface PretrainResult extends RunSummary {
  /** Folder of the trained model; null when the run was stopped. */
  readonly model: string | null;
  /** The report, an HTML file. */
  readonly report: string;
  readonly sample: Sample | null;
  /** Name of the signal that stopped it; null when it came to its end. */
  readonly interruptedBy: string | null;
}

/** Trains a decoder on text from a recipe, in a run folder of its own, and leaves a model folder there.
 *  A run that fails before its first step leaves nothing behind.
 *  @throws InterruptedError, and the errors of its parts */
export async function pretrain(options: PretrainOptions): Promise<PretrainResult> {
  const { out, resume } = options;
  const { recipe, tokenizer } = await resolveRecipe(options);
  using interrupt = interruptOnSignals();
  const { signal } = interrupt;
  return await inRunFolder(
    { out, resume, recipe, made: preparedFolders(out, recipe.data) },
    (paths) => openRun({ ...options, recipe, tokenizer, paths, signal }),
    (paths, run) => workIn(options, paths, run, tokenizer),
  );
}

async function resolveRecipe(
  { layer, source, out, resume, device }: PretrainOptions,
): Promise<{ readonly recipe: Recipe; readonly tokenizer: TokenizerFile }> {
  const stored = resume ? checkRecipe(await readRecipe(out), join(out, "recipe.json")) : {};
  if (resume) requireSameRecipe(layer, stored);
  const whole = resume ? stored : layer;
  const tokenizer = await openTokenizer(requireTokenizer(whole, source));
  const dtype = device.cpu?.isa === "avx512bf16" ? "bf16" : "f32";
  return { recipe: completeRecipe(whole, { tokenizer: tokenizer.tokenizer, dtype, source }), tokenizer };
}

async function workIn(
  { device, reporter }: PretrainOptions, paths: RunPaths, run: OpenRun, tokenizer: TokenizerFile,
): Promise<PretrainResult> {
  const { recipe, parts, signal } = run;
  const files = await tokenizerFilesFor(tokenizer, recipe.model);
  const peakFlops = await measurePeak(device, recipe.dtype);
  announceRun({ run, device, peakFlops, reporter });
  const report = (sample: Sample | null): Promise<void> => writeRunReport(paths, recipe, sample);
  const summary = await trainRun({ run, paths, files, device, peakFlops, reporter }).catch(async (error: unknown) => {
    // The curve up to the failure is worth having; what went wrong is worth more than a report that cannot be written.
    await report(null).catch(() => undefined);
    throw error;
  });
  if (summary.stopped === "signal") {
    await report(null);
    return { ...summary, model: null, report: paths.report, sample: null, interruptedBy: String(signal.reason) };
  }
  const model = join(paths.folder, "model");
  await saveModel(model, recipe.model, parts.trainer.params, files);
  const sample = await writeSample(run, tokenizer);
  await report(sample);
  reporter.line();
  reporter.line(`${reporter.style("bold", sample.prompt)}${sample.text}`);
  return { ...summary, model, report: paths.report, sample, interruptedBy: null };
}

async function writeSample({ recipe, parts }: OpenRun, { tokenizer }: TokenizerFile): Promise<Sample> {
  const { prompt, ...sampling } = recipe.sample;
  const model = { decoder: parts.decoder, params: parts.trainer.compute };
  return { prompt, text: await completeText(model, tokenizer, prompt, { ...sampling, seed: recipe.seed }) };
}

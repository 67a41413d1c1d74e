import { join } from "node:path";

import { flopsPerToken } from "@danu/model";
import {
  CheckpointStore, interruptOnSignals, MetricsWriter, readRecipe, train,
  type RunPaths, type RunPosition, type RunSummary, type Sample,
} from "@danu/train";

import type { OpenDevice } from "../cli/device.ts";
import type { Reporter } from "../cli/reporter.ts";
import { version } from "../version.ts";
import { announceRun } from "./announce.ts";
import { releaseBatches } from "./decoder-batch.ts";
import { inRunFolder } from "./in-run-folder.ts";
import { safetensorsFiles, saveModel } from "../model/save-model.ts";
import { buildPretrainParts, type PretrainParts } from "./setup.ts";
import { progressLine } from "./progress-line.ts";
import { checkRecipe } from "../recipe/schema.ts";
import { completeRecipe, layerRecipes, requireSameRecipe, requireTokenizer, type Recipe, type RecipeLayer } from "../recipe/recipe.ts";
import { openRunData, preparedFolders, type RunData } from "./run-data.ts";
import { writeRunReport } from "./report.ts";
import { completeText } from "../model/continue-text.ts";
import { asInterrupted } from "./stop-on-signals.ts";
import { openTokenizer, tokenizerFilesFor, type TokenizerFile } from "../model/tokenizer-file.ts";

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

interface Run extends Disposable {
  readonly data: RunData;
  readonly parts: PretrainParts;
  readonly store: CheckpointStore;
  readonly start: RunPosition | null;
}

/** Trains a decoder on text from a recipe, in a run folder of its own, and leaves a model folder there.
 *  @throws InterruptedError, and the errors of its parts; a run that fails before its first step leaves nothing behind */
export async function pretrain(options: PretrainOptions): Promise<PretrainResult> {
  const { out, resume } = options;
  const { recipe, tokenizer } = await resolveRecipe(options);
  const made = preparedFolders(out, recipe.data);
  using interrupt = interruptOnSignals();
  const { signal } = interrupt;
  return inRunFolder(
    { out, resume, recipe, made },
    (paths) => openRun(options, recipe, tokenizer, paths, signal),
    (paths, run) => work(options, recipe, tokenizer, paths, run, signal),
  );
}

async function resolveRecipe(
  { layer, source, out, resume, device }: PretrainOptions,
): Promise<{ readonly recipe: Recipe; readonly tokenizer: TokenizerFile }> {
  const stored = resume ? checkRecipe(await readRecipe(out), join(out, "recipe.json")) : {};
  const whole = layerRecipes(stored, layer);
  const tokenizer = await openTokenizer(requireTokenizer(whole, source));
  const dtype = device.cpu?.isa === "avx512bf16" ? "bf16" : "f32";
  const context = { tokenizer: tokenizer.tokenizer, dtype, source } as const;
  const recipe = completeRecipe(whole, context);
  if (resume) requireSameRecipe(recipe, completeRecipe(stored, context));
  return { recipe, tokenizer };
}

async function openRun(
  { device, resume, reporter }: PretrainOptions, recipe: Recipe, tokenizer: TokenizerFile, paths: RunPaths, signal: AbortSignal,
): Promise<Run> {
  const data = await openRunData({ recipe, tokenizer, folder: paths.folder, reporter, signal }).catch((error: unknown) => {
    throw asInterrupted(error, signal);
  });
  let parts: PretrainParts | null = null;
  const close = (): void => {
    parts?.[Symbol.dispose]();
    data[Symbol.dispose]();
  };
  try {
    parts = buildPretrainParts(device.device, recipe, data);
    const store = new CheckpointStore({ folder: paths.checkpoints, tensorFiles: safetensorsFiles, keepLast: recipe.checkpoint.keep });
    const start = resume ? await restore(store, parts, reporter) : null;
    return { data, parts, store, start, [Symbol.dispose]: close };
  } catch (error) {
    close();
    throw error;
  }
}

async function restore(store: CheckpointStore, { trainer, sampler }: PretrainParts, reporter: Reporter): Promise<RunPosition | null> {
  const restored = await store.restoreNewest(trainer);
  if (restored === null) {
    reporter.note("the run has no checkpoint yet and starts from the beginning");
    return null;
  }
  for (const { message } of restored.damaged) reporter.note(`passed over a damaged checkpoint: ${message}`);
  const { state } = restored;
  sampler.stepOf(state.dataPosition as Parameters<typeof sampler.stepOf>[0]);
  return state;
}

async function work(
  options: PretrainOptions, recipe: Recipe, tokenizer: TokenizerFile, paths: RunPaths, run: Run, signal: AbortSignal,
): Promise<PretrainResult> {
  const { reporter } = options;
  const files = await tokenizerFilesFor(tokenizer, recipe.model);
  const peakFlops = options.device.cpu?.peakFlops(recipe.dtype) ?? null;
  announceRun({ recipe, device: options.device, peakFlops, data: run.data, start: run.start, steps: run.parts.sampler.steps, reporter });
  const report = (sample: Sample | null): Promise<void> => writeRunReport(paths, recipe, sample);
  const summary = await trainRun(options, recipe, files, paths, run, signal, peakFlops).catch(async (error: unknown) => {
    await report(null).catch(() => undefined);
    throw error;
  });
  if (summary.stopped === "signal") {
    await report(null);
    return { ...summary, model: null, report: paths.report, sample: null, interruptedBy: String(signal.reason) };
  }
  const { trainer, decoder } = run.parts;
  const model = join(paths.folder, "model");
  await saveModel(model, recipe.model, trainer.params, files);
  const { prompt, ...sampling } = recipe.sample;
  const text = await completeText({ decoder, params: trainer.compute }, tokenizer.tokenizer, prompt, { ...sampling, seed: recipe.seed });
  const sample = { prompt, text };
  await report(sample);
  reporter.line();
  reporter.line(`${reporter.style("bold", sample.prompt)}${sample.text}`);
  return { ...summary, model, report: paths.report, sample, interruptedBy: null };
}

async function trainRun(
  { device, reporter }: PretrainOptions, recipe: Recipe, files: ReadonlyMap<string, Uint8Array | string>, paths: RunPaths,
  { parts, store, start }: Run, signal: AbortSignal, peakFlops: number | null,
): Promise<RunSummary> {
  const { trainer, sampler, validate } = parts;
  const versions = { danu: await version(), node: process.version };
  const metrics = await MetricsWriter.open(paths.metrics, start?.step ?? 0);
  try {
    return await train({
      trainer, signal, metrics, releaseBatches,
      steps: sampler.steps,
      ...(start === null ? {} : { start }),
      learningRate: parts.learningRate,
      batchesAt: parts.batchesAt,
      tokensIn: (batch) => batch.tokens,
      stageAt: (step) => ({ sequenceLength: sampler.stageAt(step).sequenceLength, microBatches: parts.microBatches(step) }),
      ...(validate === null ? {} : { validation: { every: recipe.validation.every, run: validate } }),
      checkpoint: {
        every: recipe.checkpoint.every,
        run: async (position) => {
          const state = { ...position, seed: recipe.seed, schedule: recipe.learningRate, dataPosition: sampler.stateAt(position.step), versions };
          await store.save(trainer, state, (folder) => saveModel(folder, recipe.model, trainer.params, files));
          await writeRunReport(paths, recipe, null);
        },
      },
      flopsPerToken: (step) => flopsPerToken(recipe.model, sampler.stageAt(step).sequenceLength),
      ...(peakFlops === null ? {} : { peakFlops }),
      ...(device.cpu === null ? {} : { peakBytes: () => device.peakBytes()! }),
      onProgress: (progress) => reporter.progress(progressLine(progress), isImportant(progress.step, progress.validationLoss, start, sampler.steps)),
    });
  } finally {
    await metrics[Symbol.asyncDispose]();
  }
}

/** The first and last step and every validation keep their line. */
function isImportant(step: number, validationLoss: number | undefined, start: RunPosition | null, steps: number): boolean {
  return validationLoss !== undefined || step === steps || step === (start?.step ?? 0) + 1;
}

import { flopsPerToken } from "@danu/model";
import { MetricsWriter, train, type RunPaths, type RunPosition, type RunProgress, type RunSummary } from "@danu/train";

import type { OpenDevice } from "../cli/device.ts";
import type { Reporter } from "../cli/reporter.ts";
import { saveModel } from "../model/save-model.ts";
import { version } from "../version.ts";
import { releaseBatches } from "./decoder-batch.ts";
import type { OpenRun } from "./open-run.ts";
import { progressLine } from "./progress-line.ts";
import { writeRunReport } from "./report.ts";

/** What the steps of a run need. */
export interface TrainRunOptions {
  readonly run: OpenRun;
  readonly paths: RunPaths;
  /** The tokenizer's files, for the model folder in every checkpoint. */
  readonly files: ReadonlyMap<string, Uint8Array | string>;
  readonly device: OpenDevice;
  /** Measured, in FLOP/s; null where it was not. */
  readonly peakFlops: number | null;
  readonly reporter: Reporter;
}

/** Takes the steps of a run, with its validations, checkpoints and log. @throws as `train` */
export async function trainRun(options: TrainRunOptions): Promise<RunSummary> {
  const { run, paths, files, device, peakFlops, reporter } = options;
  const { recipe, parts, store, start, signal } = run;
  const { trainer, sampler, validate } = parts;
  const versions = { danu: await version(), node: process.version };
  const save = async (position: RunPosition): Promise<void> => {
    const { seed, learningRate: schedule } = recipe;
    const state = { ...position, seed, schedule, dataPosition: sampler.stateAt(position.step), versions };
    await store.save(trainer, state, (folder) => saveModel(folder, recipe.model, trainer.params, files));
    await writeRunReport(paths, recipe, null);
  };
  const show = (progress: RunProgress): void => {
    reporter.progress(progressLine(progress), isImportant(progress, start?.step ?? 0));
  };
  await using metrics = await MetricsWriter.open(paths.metrics, start?.step ?? 0);
  return await train({
    trainer, signal, metrics, releaseBatches,
    steps: sampler.steps,
    ...(start === null ? {} : { start }),
    learningRate: parts.learningRate,
    batchesAt: parts.batchesAt,
    tokensIn: (batch) => batch.tokens,
    stageAt: (step) => ({
      sequenceLength: sampler.stageAt(step).sequenceLength, microBatches: parts.microBatches(step),
    }),
    ...(validate === null ? {} : { validation: { every: recipe.validation.every, run: validate } }),
    checkpoint: { every: recipe.checkpoint.every, run: save },
    flopsPerToken: (step) => flopsPerToken(recipe.model, sampler.stageAt(step).sequenceLength),
    ...(peakFlops === null ? {} : { peakFlops }),
    ...(device.cpu === null ? {} : { peakBytes: () => device.peakBytes()! }),
    onProgress: show,
  });
}

/** The first and last step and every validation keep their line. */
function isImportant({ step, steps, validationLoss }: RunProgress, first: number): boolean {
  return validationLoss !== undefined || step === steps || step === first + 1;
}

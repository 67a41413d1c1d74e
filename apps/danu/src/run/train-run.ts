import { MetricsWriter, train, type RunPaths, type RunPosition, type RunProgress, type RunSummary } from "@danu/train";

import type { OpenDevice } from "../cli/device.ts";
import type { Reporter } from "../cli/reporter.ts";
import { version } from "../version.ts";
import type { OpenRun } from "./open-run.ts";
import { progressLine } from "./progress-line.ts";

/** What the steps of a run need. */
export interface TrainRunOptions<B> {
  readonly run: OpenRun<B>;
  readonly paths: RunPaths;
  readonly device: OpenDevice;
  /** Measured, in FLOP/s; null where it was not. */
  readonly peakFlops: number | null;
  readonly reporter: Reporter;
  /** Writes the report of the run so far. */
  readonly report: () => Promise<void>;
}

/** Takes the steps of a run, with its validations, checkpoints and log. @throws as `train` */
export async function trainRun<B>(options: TrainRunOptions<B>): Promise<RunSummary> {
  const { run, paths, device, peakFlops, reporter } = options;
  const { recipe, parts, store, start, signal } = run;
  const { trainer, order, validate } = parts;
  const versions = { danu: await version(), node: process.version };
  const save = async (position: RunPosition): Promise<void> => {
    const { seed, learningRate: schedule } = recipe;
    const state = { ...position, seed, schedule, dataPosition: order.stateAt(position.step), versions };
    await store.save(trainer, state, parts.writeWeights);
    await options.report();
  };
  const show = (progress: RunProgress): void => {
    reporter.progress(progressLine(progress), isImportant(progress, start?.step ?? 0));
  };
  await using metrics = await MetricsWriter.open(paths.metrics, start?.step ?? 0);
  return await train({
    trainer, signal, metrics,
    releaseBatches: parts.releaseBatches,
    steps: order.steps,
    ...(start === null ? {} : { start }),
    learningRate: parts.learningRate,
    batchesAt: parts.batchesAt,
    tokensIn: parts.tokensIn,
    stageAt: parts.stageAt,
    // A model that starts from nothing has nothing to be compared with.
    ...(validate === null
      ? {}
      : { validation: { every: recipe.validation.every, run: validate, initial: recipe.command !== "pretrain" } }),
    checkpoint: { every: recipe.checkpoint.every, run: save },
    flopsPerToken: parts.flopsPerToken,
    ...(peakFlops === null ? {} : { peakFlops }),
    ...(device.cpu === null ? {} : { peakBytes: () => device.peakBytes()! }),
    onProgress: show,
  });
}

/** The first and last step and every validation keep their line. */
function isImportant({ step, steps, validationLoss }: RunProgress, first: number): boolean {
  return validationLoss !== undefined || step === steps || step === first + 1;
}

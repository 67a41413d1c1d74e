import { setImmediate } from "node:timers/promises";

import { NonFiniteError } from "./errors.ts";
import type { MetricsRecord, MetricsWriter, Stage } from "./metrics.ts";
import { Throughput } from "./throughput.ts";
import type { Evaluation, StepResult, Trainer } from "./trainer.ts";

/** How far a run has come. */
export interface RunPosition {
  /** Steps taken. */
  readonly step: number;
  /** Tokens put through the model. */
  readonly tokens: number;
  /** Seconds worked, over all the processes of the run. */
  readonly seconds: number;
}

/** What is known after a step. */
export interface RunProgress extends MetricsRecord {
  /** Steps of the whole run. */
  readonly steps: number;
  /** Time left at the present rate, in seconds. */
  readonly secondsLeft: number;
}

/** Something done every so many steps, and at the end of the run. */
export interface Periodic<F> {
  /** Steps between two times; Infinity for the end alone. */
  readonly every: number;
  readonly run: F;
}

/** A run, as everything that differs between pretraining, fine-tuning and preference tuning. */
export interface TrainOptions<B> {
  readonly trainer: Pick<Trainer<unknown, B>, "step">;
  /** Steps of the whole run. */
  readonly steps: number;
  /** Where to go on; a new run without it. */
  readonly start?: RunPosition;
  /** Learning rate of a step, from 0. */
  readonly learningRate: (step: number) => number;
  /** Micro-batches of a step, from 0. It must follow from the step alone, so that a resumed run sees the same ones. */
  readonly batchesAt: (step: number) => readonly B[] | Promise<readonly B[]>;
  /** Frees the batches of a step that is over. */
  readonly releaseBatches?: (batches: readonly B[]) => void;
  /** Tokens a micro-batch puts through the model; without it those that carry loss are counted. */
  readonly tokensIn?: (batch: B) => number;
  /** Sequence length and micro-batches of a step, from 0, to be shown. */
  readonly stageAt?: (step: number) => Stage;
  /** Measures held-out data; with `initial` also before the first step of a new run. */
  readonly validation?: Periodic<() => Promise<Evaluation>> & { readonly initial?: boolean };
  /** Writes a checkpoint; also called when the run is stopped. */
  readonly checkpoint?: Periodic<(position: RunPosition) => Promise<unknown>>;
  readonly metrics?: MetricsWriter;
  readonly onProgress?: (progress: RunProgress) => void;
  /** Stops the run after the step at hand, with a checkpoint. */
  readonly signal?: AbortSignal;
  /** Floating-point operations a token takes in a step, forward and backward. */
  readonly flopsPerToken?: (step: number) => number;
  /** Floating-point operations a second that the machine reached when measured. */
  readonly peakFlops?: number;
  /** Most memory the device has held, in bytes. */
  readonly peakBytes?: () => number;
}

/** What a call of `train` did. */
export interface RunSummary extends RunPosition {
  /** `signal` when it was asked to stop before the last step. */
  readonly stopped: "complete" | "signal";
  /** The last step; null when none was taken. */
  readonly last: MetricsRecord | null;
  /** The last validation loss; null when there was none. */
  readonly validationLoss: number | null;
  /** The last validation; null when there was none. */
  readonly validation: Evaluation | null;
}

type Step = StepResult & { readonly learningRate: number; readonly tokensIn: number };

/** Trains from `start` to the last step: step, validate, log, show, save.
 *  @throws NonFiniteError when loss or gradient are not finite, after the step is logged as it came; weights and
 *    checkpoints are as before it */
export async function train<B>(options: TrainOptions<B>): Promise<RunSummary> {
  const { steps, start = { step: 0, tokens: 0, seconds: 0 }, signal, validation, checkpoint, metrics } = options;
  const began = performance.now();
  const throughput = new Throughput();
  let position = start;
  let [saved, last] = [start.step, null as MetricsRecord | null];
  let measured: Evaluation | null = null;
  const stopping = (): boolean => signal?.aborted === true;
  const save = async (): Promise<void> => {
    if (checkpoint === undefined || saved === position.step) return;
    await metrics?.sync();
    await checkpoint.run(position);
    saved = position.step;
  };

  const isFirst = position.step === 0 && steps > 0 && !stopping();
  const initial = isFirst && validation?.initial === true ? await validation.run() : null;
  while (position.step < steps && !stopping()) {
    const stepBegan = performance.now();
    const result = await takeStep(options, position.step);
    throughput.add(result.tokensIn, (performance.now() - stepBegan) / 1000);
    position = { step: position.step + 1, tokens: position.tokens + result.tokensIn, seconds: start.seconds };
    // A device that never waits would keep signals from being heard.
    await setImmediate();
    const failed = !Number.isFinite(result.loss) || !Number.isFinite(result.gradientNorm);
    const validate = !failed && !stopping() && isDue(validation, position.step, steps);
    if (validate) measured = await validation!.run();
    position = { ...position, seconds: start.seconds + (performance.now() - began) / 1000 };
    last = {
      ...recordOf(options, position, result, throughput, validate ? measured : null),
      ...(position.step === 1 && initial !== null ? { initialValidation: initial } : {}),
    };
    await metrics?.append(last);
    if (failed) {
      await metrics?.sync();
      throw new NonFiniteError(result.loss, result.gradientNorm, position.step);
    }
    options.onProgress?.({ ...last, steps, secondsLeft: (steps - position.step) * throughput.secondsPerStep });
    if (isDue(checkpoint, position.step, steps)) await save();
  }
  await save();
  await metrics?.sync();
  return { ...position, stopped: position.step < steps ? "signal" : "complete", last, validation: measured,
    validationLoss: measured?.loss ?? null };
}

/** Takes a step; one whose numbers are not finite comes back with them, for the log. */
async function takeStep<B>(options: TrainOptions<B>, step: number): Promise<Step> {
  const batches = await options.batchesAt(step);
  try {
    const learningRate = options.learningRate(step);
    const result = await options.trainer.step(batches, learningRate).catch((error: unknown) => {
      if (!(error instanceof NonFiniteError)) throw error;
      const { loss, gradientNorm } = error.data as { readonly loss: number; readonly gradientNorm: number };
      return { loss, gradientNorm, metrics: {}, tokens: 0 };
    });
    const { tokensIn } = options;
    const count = tokensIn === undefined ? result.tokens : batches.reduce((sum, batch) => sum + tokensIn(batch), 0);
    return { ...result, learningRate, tokensIn: count };
  } finally {
    options.releaseBatches?.(batches);
  }
}

function recordOf<B>(
  options: TrainOptions<B>, position: RunPosition, result: Step, { tokensPerSecond }: Throughput,
  validation: Evaluation | null,
): MetricsRecord {
  const { stageAt, flopsPerToken, peakFlops, peakBytes } = options;
  const { loss, gradientNorm, learningRate, metrics } = result;
  const { step, tokens, seconds } = position;
  const share = flopsPerToken === undefined || peakFlops === undefined ? null
    : (tokensPerSecond * flopsPerToken(step - 1)) / peakFlops;
  return {
    step, tokens, loss, gradientNorm, learningRate, tokensPerSecond, seconds,
    ...(share === null ? {} : { shareOfPeak: share }),
    ...(peakBytes === undefined ? {} : { peakBytes: peakBytes() }),
    ...(stageAt === undefined ? {} : { stage: stageAt(step - 1) }),
    ...(isEmpty(metrics) ? {} : { metrics }),
    ...(validation === null ? {} : { validationLoss: validation.loss }),
    ...(validation === null || isEmpty(validation.metrics) ? {} : { validationMetrics: validation.metrics }),
  };
}

function isDue(periodic: Periodic<unknown> | undefined, step: number, steps: number): boolean {
  return periodic !== undefined && (step === steps || step % periodic.every === 0);
}

function isEmpty(value: object): boolean {
  return Object.keys(value).length === 0;
}

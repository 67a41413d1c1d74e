import { parameterCount } from "@danu/model";

import type { OpenDevice } from "../cli/device.ts";
import { bytes, duration, short, withCommas } from "../cli/format.ts";
import type { Reporter } from "../cli/reporter.ts";
import type { OpenRun } from "./open-run.ts";
import { predictTrainingBytes } from "./predict-memory.ts";

/** What is said before a run begins. */
export interface RunAnnouncement {
  readonly run: OpenRun;
  readonly device: OpenDevice;
  /** Measured, in FLOP/s; null where it was not. */
  readonly peakFlops: number | null;
  readonly reporter: Reporter;
}

/** Tells what is about to be trained, on what, and what it will take. */
export function announceRun({ run, device, peakFlops, reporter }: RunAnnouncement): void {
  const { recipe, data, start, parts } = run;
  const { model, dtype, stages, tokensPerBatch, microBatchTokens, recompute } = recipe;
  const { steps } = parts.sampler;
  const longest = Math.max(...stages.map((stage) => stage.sequenceLength));
  const memory = predictTrainingBytes(model, { dtype, tokens: Math.max(longest, microBatchTokens), recompute });
  const sizes = `hidden ${model.hiddenSize}, ${model.layers} layers, vocabulary ${withCommas(model.vocabularySize)}`;
  const passes = ((steps * tokensPerBatch) / data.trainTokens).toFixed(1);
  const lengths = stages.map((stage) => withCommas(stage.sequenceLength)).join(", then ");
  const peak = peakFlops === null ? "" : `, measured peak ${short(peakFlops)}FLOP/s in ${dtype}`;
  reporter.line(`model     ${model.preset}: ${short(parameterCount(model))} parameters (${sizes}), ${dtype}`);
  reporter.line(`data      ${short(data.trainTokens)} tokens, ${passes} passes over them`);
  const plan = `${withCommas(steps)} steps of ${withCommas(tokensPerBatch)} tokens, sequence length ${lengths}`;
  reporter.line(`plan      ${plan}`);
  reporter.line(`device    ${device.description}${peak}`);
  reporter.line(`memory    about ${bytes(memory)}`);
  if (start === null) return;
  const worked = `${duration(start.seconds)} worked`;
  reporter.line(`resuming  after step ${withCommas(start.step)} of ${withCommas(steps)}, ${worked}`);
}

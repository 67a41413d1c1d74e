import { parameterCount } from "@danu/model";
import type { RunPosition } from "@danu/train";

import type { OpenDevice } from "../cli/device.ts";
import { counted, duration, short, withCommas } from "../cli/format.ts";
import type { Reporter } from "../cli/reporter.ts";
import type { PassDType, Recipe } from "../recipe/recipe.ts";
import type { DecoderBatch } from "./decoder-batch.ts";
import type { OpenRun } from "./open-run.ts";
import { memoryText, type MemoryPlan } from "./plan-memory.ts";
import type { PretrainParts } from "./setup.ts";

/** What is said before a pretraining run begins. */
export interface PretrainAnnouncement {
  readonly recipe: Recipe;
  readonly run: OpenRun<DecoderBatch, PretrainParts>;
  readonly device: OpenDevice;
  readonly memory: MemoryPlan;
  /** Measured, in FLOP/s; null where it was not. */
  readonly peakFlops: number | null;
  readonly reporter: Reporter;
}

/** Tells what is about to be trained, on what, and what it will take. */
export function announcePretraining({ recipe, run, device, memory, peakFlops, reporter }: PretrainAnnouncement): void {
  const { start, parts } = run;
  const { model, dtype, stages, tokensPerBatch } = recipe;
  const { steps } = parts.order;
  const sizes = `hidden ${model.hiddenSize}, ${model.layers} layers, vocabulary ${withCommas(model.vocabularySize)}`;
  const passes = ((steps * tokensPerBatch) / parts.trainTokens).toFixed(1);
  const lengths = stages.map((stage) => withCommas(stage.sequenceLength)).join(", then ");
  reporter.line(`model     ${model.preset}: ${short(parameterCount(model))} parameters (${sizes}), ${dtype}`);
  reporter.line(`data      ${short(parts.trainTokens)} tokens, ${passes} passes over them`);
  const plan = `${counted(steps, "step")} of ${withCommas(tokensPerBatch)} tokens, sequence length ${lengths}`;
  reporter.line(`plan      ${plan}`);
  announceWork({ device, dtype, peakFlops, memory, start, steps, reporter });
}

/** What is said of the work of any run. */
export interface WorkAnnouncement {
  readonly device: OpenDevice;
  readonly dtype: PassDType;
  /** Measured, in FLOP/s; null where it was not. */
  readonly peakFlops: number | null;
  readonly memory: MemoryPlan;
  readonly start: RunPosition | null;
  readonly steps: number;
  readonly reporter: Reporter;
}

/** Tells on what a run works, what it takes, and where it goes on. */
export function announceWork({ device, dtype, peakFlops, memory, start, steps, reporter }: WorkAnnouncement): void {
  const peak = peakFlops === null ? "" : `, measured peak ${short(peakFlops)}FLOP/s in ${dtype}`;
  reporter.line(`device    ${device.description}${peak}`);
  reporter.line(`memory    ${memoryText(memory)}`);
  if (start === null) return;
  const worked = `${duration(start.seconds)} worked`;
  reporter.line(`resuming  after step ${withCommas(start.step)} of ${withCommas(steps)}, ${worked}`);
}

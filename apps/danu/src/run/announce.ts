import { parameterCount } from "@danu/model";
import type { RunPosition } from "@danu/train";

import type { OpenDevice } from "../cli/device.ts";
import { bytes, duration, short, withCommas } from "../cli/format.ts";
import type { Reporter } from "../cli/reporter.ts";
import { predictTrainingBytes } from "./predict-memory.ts";
import type { Recipe } from "../recipe/recipe.ts";
import type { RunData } from "./run-data.ts";

/** What is said before a run begins. */
export interface RunAnnouncement {
  readonly recipe: Recipe;
  readonly device: OpenDevice;
  /** Measured, in FLOP/s; null where it was not. */
  readonly peakFlops: number | null;
  readonly data: RunData;
  /** Where the run goes on; null for a new one. */
  readonly start: RunPosition | null;
  readonly steps: number;
  readonly reporter: Reporter;
}

/** Tells what is about to be trained, on what, and what it will take. */
export function announceRun({ recipe, device, peakFlops, data, start, steps, reporter }: RunAnnouncement): void {
  const { model, dtype, stages, tokensPerBatch, recompute } = recipe;
  const longest = Math.max(...stages.map((stage) => stage.sequenceLength));
  const total = steps * tokensPerBatch;
  const memory = predictTrainingBytes(model, { dtype, tokens: Math.max(longest, recipe.microBatchTokens), recompute });
  const lengths = stages.map((stage) => withCommas(stage.sequenceLength)).join(", then ");
  const sizes = `hidden ${model.hiddenSize}, ${model.layers} layers, vocabulary ${withCommas(model.vocabularySize)}`;
  reporter.line(`model     ${model.preset}: ${short(parameterCount(model))} parameters (${sizes}), ${dtype}`);
  reporter.line(`data      ${short(data.trainTokens)} tokens, ${(total / data.trainTokens).toFixed(1)} passes over them`);
  reporter.line(`plan      ${withCommas(steps)} steps of ${withCommas(tokensPerBatch)} tokens, sequence length ${lengths}`);
  reporter.line(`device    ${device.description}${peakFlops === null ? "" : `, measured peak ${short(peakFlops)}FLOP/s in ${dtype}`}`);
  reporter.line(`memory    about ${bytes(memory)}`);
  if (start !== null) {
    reporter.line(`resuming  after step ${withCommas(start.step)} of ${withCommas(steps)}, ${duration(start.seconds)} worked`);
  }
}

import type { ChatCut } from "@danu/data";
import { parameterCount, mapLora, type DecoderConfig } from "@danu/model";

import type { OpenDevice } from "../../cli/device.ts";
import { short, withCommas } from "../../cli/format.ts";
import type { Reporter } from "../../cli/reporter.ts";
import type { TuningRecipe } from "../../recipe/tuning.ts";
import { announceWork } from "../announce.ts";
import type { OpenRun } from "../open-run.ts";
import { planMemory, type MemoryPlan } from "../plan-memory.ts";

/** What is said before fine-tuning begins. */
export interface TuningAnnouncement<B> {
  readonly recipe: TuningRecipe;
  readonly config: DecoderConfig;
  readonly run: OpenRun<B>;
  readonly device: OpenDevice;
  readonly memory: MemoryPlan;
  /** Measured, in FLOP/s; null where it was not. */
  readonly peakFlops: number | null;
  readonly reporter: Reporter;
  /** The examples, in words. */
  readonly data: string;
  /** The steps, in words. */
  readonly plan: string;
  /** What became of every sequence. */
  readonly cut: readonly ChatCut[];
}

/** Tells what is about to be fine-tuned, on what, and what it will take. */
export function announceTuning<B>(announcement: TuningAnnouncement<B>): void {
  const { recipe, config, run, device, memory, peakFlops, reporter, data, plan, cut } = announcement;
  const { dtype, lora } = recipe;
  const trained = lora === null ? parameterCount(config) : adapterSize(recipe, config);
  const what = lora === null ? "all trained" : `${short(trained)} trained, an adapter of rank ${lora.rank}`;
  reporter.line(`model     ${recipe.model}: ${short(parameterCount(config))} parameters, ${what}, ${dtype}`);
  reporter.line(`data      ${data}`);
  const losing = cut.filter(({ tokens }) => tokens > 0);
  if (losing.length > 0) {
    const lost = losing.reduce((sum, { trainedTokens }) => sum + trainedTokens, 0);
    const [count, length] = [withCommas(losing.length), withCommas(recipe.sequenceLength)];
    reporter.line(`cut       ${count} sequences longer than ${length} lose ${short(lost)} trained tokens`);
  }
  reporter.line(`plan      ${plan}`);
  announceWork({ device, dtype, peakFlops, memory, start: run.start, steps: run.parts.order.steps, reporter });
}

/** What fine-tuning will take. @throws DeviceError where a GPU has no room for it */
export function planTuningMemory(recipe: TuningRecipe, config: DecoderConfig, device: OpenDevice): MemoryPlan {
  const { dtype, recompute, lora, sequenceLength, microBatchTokens } = recipe;
  const trained = lora === null ? parameterCount(config) : adapterSize(recipe, config);
  return planMemory(config, { dtype, recompute, trained, tokens: Math.max(sequenceLength, microBatchTokens) }, device);
}

function adapterSize({ lora }: TuningRecipe, config: DecoderConfig): number {
  let size = 0;
  if (lora !== null) mapLora(config, lora, (_, __, shape) => (size += shape.reduce((a, b) => a * b, 1)));
  return size;
}

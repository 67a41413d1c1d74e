import { flopsPerToken, preset, type DecoderConfig, type PresetName } from "@danu/model";

import { planMemory } from "../run/plan-memory.ts";
import type { BenchDType, BenchMachine } from "./machine.ts";
import { profile, type OpTime } from "./profile.ts";
import { openTask, type TaskName } from "./step-tasks.ts";

/** Speed of whole optimizer steps. */
export interface StepResult {
  readonly preset: PresetName;
  readonly task: TaskName;
  readonly dtype: BenchDType;
  /** Null on a GPU. */
  readonly threads: number | null;
  readonly batch: number;
  readonly sequenceLength: number;
  /** By the median step; every token of a step counts, trained or not. */
  readonly tokensPerSecond: number;
  readonly bestTokensPerSecond: number;
  /** Of a step of all weights; an adapter and a reference take another number. */
  readonly gflops: number;
  readonly shareOfPeak: number;
  readonly peakBytes: number;
  /** Blocks whose activations were computed again in the backward pass. */
  readonly recomputedBlocks: number;
  /** Time until a step is enqueued, by the median, in milliseconds. */
  readonly enqueuedMs: number;
  /** Loss of every step that was timed; the tokens are always the same. */
  readonly losses: readonly number[];
  /** Time by op of one more step, if it was asked for. */
  readonly profile?: readonly OpTime[];
}

/** What to run. */
export interface StepOptions {
  readonly preset: PresetName;
  readonly task: TaskName;
  readonly dtype: BenchDType;
  readonly batch: number;
  readonly sequenceLength: number;
  readonly steps: number;
  readonly recompute: boolean;
  readonly profile: boolean;
}

/** Measures full training steps on random tokens: forward, loss, backward, clip, AdamW. */
export async function benchStep(machine: BenchMachine, options: StepOptions): Promise<StepResult> {
  const { dtype, batch: B, sequenceLength: T } = options;
  const config = preset(options.preset);
  const recomputedBlocks = recomputed(machine, options, config);
  using task = await openTask(machine.device, { ...options, config, recomputedBlocks });
  machine.resetPeak();
  for (let i = 0; i < 2; i++) await task.step();
  const [times, enqueued, losses]: [number[], number[], number[]] = [[], [], []];
  let peak = 0;
  for (let i = 0; i < options.steps; i++) {
    peak = Math.max(peak, machine.peak(dtype, 30));
    const start = performance.now();
    const step = task.step();
    enqueued.push(performance.now() - start);
    losses.push((await step).loss);
    times.push((performance.now() - start) / 1000);
  }
  const median = (list: readonly number[]): number => [...list].sort((a, b) => a - b)[list.length >> 1]!;
  const rate = (time: number): number => task.tokens / time;
  const tokensPerSecond = rate(median(times));
  const peakBytes = machine.peakBytes();
  const byOp = options.profile ? { profile: await profile(machine, () => task.step()) } : {};
  const flops = tokensPerSecond * flopsPerToken(config, T);
  return {
    preset: options.preset, task: options.task, dtype, threads: machine.threads, batch: B, sequenceLength: T,
    tokensPerSecond, bestTokensPerSecond: rate(Math.min(...times)), gflops: flops / 1e9, shareOfPeak: flops / peak,
    peakBytes, recomputedBlocks, enqueuedMs: median(enqueued), losses, ...byOp,
  };
}

/** As few blocks as fit the device, as in a run; an adapter's activations are not planned for. */
function recomputed({ open }: BenchMachine, { task, dtype, batch, sequenceLength, recompute }: StepOptions, config: DecoderConfig): number {
  if (task === "dpo") return recompute ? config.layers : 0;
  return planMemory(config, { dtype, tokens: batch * sequenceLength, recompute }, open).recomputedBlocks;
}

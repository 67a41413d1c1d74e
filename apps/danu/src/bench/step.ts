import type { CpuDevice } from "@danu/cpu";
import { flopsPerToken, preset, type PresetName } from "@danu/model";

import type { BenchDType } from "./measure.ts";
import { profile, type OpTime } from "./profile.ts";
import { openTask, type TaskName } from "./step-tasks.ts";

/** Speed of whole optimizer steps. */
export interface StepResult {
  readonly preset: PresetName;
  readonly task: TaskName;
  readonly dtype: BenchDType;
  readonly threads: number;
  readonly batch: number;
  readonly sequenceLength: number;
  /** By the median step; every token of a step counts, trained or not. */
  readonly tokensPerSecond: number;
  readonly bestTokensPerSecond: number;
  /** Of a step of all weights; an adapter and a reference take another number. */
  readonly gflops: number;
  readonly shareOfPeak: number;
  readonly peakBytes: number;
  /** Processor time by op of one more step, if it was asked for. */
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
export async function benchStep(cpu: CpuDevice, options: StepOptions): Promise<StepResult> {
  const { dtype, batch: B, sequenceLength: T } = options;
  const config = preset(options.preset);
  using task = await openTask(cpu, { ...options, config });
  cpu.resetPeak();
  for (let i = 0; i < 2; i++) await task.step();
  const times: number[] = [];
  let peak = 0;
  for (let i = 0; i < options.steps; i++) {
    peak = Math.max(peak, cpu.peakFlops(dtype, 30));
    const start = performance.now();
    await task.step();
    times.push((performance.now() - start) / 1000);
  }
  times.sort((a, b) => a - b);
  const rate = (time: number): number => task.tokens / time;
  const tokensPerSecond = rate(times[times.length >> 1]!);
  const peakBytes = cpu.memory().peak;
  const byOp = options.profile ? { profile: await profile(cpu, () => task.step()) } : {};
  const flops = tokensPerSecond * flopsPerToken(config, T);
  return {
    preset: options.preset, task: options.task, dtype, threads: cpu.threads, batch: B, sequenceLength: T,
    tokensPerSecond, bestTokensPerSecond: rate(times[0]!), gflops: flops / 1e9, shareOfPeak: flops / peak,
    peakBytes, ...byOp,
  };
}

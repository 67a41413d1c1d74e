import type { CpuDevice } from "@danu/cpu";
import { Decoder, flopsPerToken, initialize, preset, Random, type DecoderParameters, type PresetName } from "@danu/model";
import { tensor, type Tensor } from "@danu/tensor";
import { Trainer } from "@danu/train";

import type { BenchDType } from "./measure.ts";
import { profile, type OpTime } from "./profile.ts";

/** Speed of whole optimizer steps. */
export interface StepResult {
  readonly preset: PresetName;
  readonly dtype: BenchDType;
  readonly threads: number;
  readonly batch: number;
  readonly sequenceLength: number;
  /** By the median step. */
  readonly tokensPerSecond: number;
  readonly bestTokensPerSecond: number;
  readonly gflops: number;
  readonly shareOfPeak: number;
  readonly peakBytes: number;
  /** Processor time by op of one more step, if it was asked for. */
  readonly profile?: readonly OpTime[];
}

/** What to run. */
export interface StepOptions {
  readonly preset: PresetName;
  readonly dtype: BenchDType;
  readonly batch: number;
  readonly sequenceLength: number;
  readonly steps: number;
  readonly recompute: boolean;
  readonly profile: boolean;
}

/** Measures full training steps on random tokens: forward, loss, backward, clip, AdamW. */
export async function benchStep(cpu: CpuDevice, options: StepOptions): Promise<StepResult> {
  const { dtype, batch: B, sequenceLength: T, recompute } = options;
  const config = preset(options.preset);
  using decoder = new Decoder(cpu, config, T, { recompute });
  const random = new Random(1);
  const ids = Int32Array.from({ length: B * T + 1 }, () => random.bits() % config.vocabularySize);
  const row = (values: ArrayLike<number>): Tensor => tensor(cpu, values, [B, T], "i32");
  using trainer = new Trainer<DecoderParameters, null>({
    params: initialize(cpu, config, 1),
    computeDtype: dtype,
    tokens: () => B * T,
    loss: (params, _, scale) => decoder.loss(params, {
      ids: row(ids.subarray(0, B * T)), positions: row(Array.from({ length: B * T }, (__, i) => i % T)), documentStart: null,
    }, row(ids.subarray(1)), scale),
  });
  cpu.resetPeak();
  for (let i = 0; i < 2; i++) await trainer.step([null], 1e-4);
  const times: number[] = [];
  let peak = 0;
  for (let i = 0; i < options.steps; i++) {
    peak = Math.max(peak, cpu.peakFlops(dtype, 30));
    const start = performance.now();
    await trainer.step([null], 1e-4);
    times.push((performance.now() - start) / 1000);
  }
  times.sort((a, b) => a - b);
  const rate = (time: number): number => (B * T) / time;
  const tokensPerSecond = rate(times[times.length >> 1]!);
  const peakBytes = cpu.memory().peak;
  const byOp = options.profile ? { profile: await profile(cpu, () => trainer.step([null], 1e-4)) } : {};
  const flops = tokensPerSecond * flopsPerToken(config, T);
  return {
    preset: options.preset, dtype, threads: cpu.threads, batch: B, sequenceLength: T,
    tokensPerSecond, bestTokensPerSecond: rate(times[0]!), gflops: flops / 1e9, shareOfPeak: flops / peak,
    peakBytes, ...byOp,
  };
}

import { presetNames, type PresetName } from "@danu/model";
import { benchDeviceFlags, openBench } from "../bench/machine.ts";

import { profileTable } from "../bench/profile.ts";
import { benchStep } from "../bench/step.ts";
import { taskNames } from "../bench/step-tasks.ts";
import { defineCommand, type Command } from "../cli/command.ts";
import { UsageError } from "../cli/errors.ts";
import { bytes, percent, withCommas } from "../cli/format.ts";
import { Reporter } from "../cli/reporter.ts";

/** Rows and tokens a row of the published comparisons. */
const batches: Partial<Record<PresetName, readonly [batch: number, sequenceLength: number]>> = {
  nano: [8, 256], small: [4, 512], medium: [2, 1024],
};

export const command: Command = defineCommand({
  name: "bench step",
  description: "Speed of whole training steps on random tokens: forward, loss, backward, clip, AdamW. Fine-tuning has "
    + "conversations packed into rows, preference tuning an adapter, its reference, and pairs of answers.",
  flags: {
    preset: { type: "choice", choices: presetNames, default: "nano", help: "model" },
    task: { type: "choice", choices: taskNames, default: "pretrain", help: "what is trained" },
    dtype: { type: "choice", choices: ["f32", "bf16", "fp8"], default: "bf16", help: "element type of the forward pass; fp8 that of products in linear layers" },
    batch: { type: "integer", value: "B", min: 1, max: 4096, help: "rows of a step; by the preset" },
    sequenceLength: { type: "integer", value: "T", min: 1, max: 1_000_000, help: "tokens in a row; by the preset" },
    steps: { type: "integer", value: "N", min: 1, max: 10_000, default: 8, help: "steps to time, after two that warm up" },
    recompute: { type: "boolean", help: "compute activations again in the backward pass, for less memory" },
    profile: { type: "boolean", help: "show the time of one more step by op; a GPU then waits for each kernel, in all steps" },
    ...benchDeviceFlags,
  },
  examples: ["danu bench step", "danu bench step --preset small --task dpo --dtype f32 --json", "danu bench step --device cuda --preset danube-1.8b --dtype fp8"],
  run: async ({ flags }, io) => {
    const reporter = new Reporter(io, flags.json);
    if (flags.dtype === "fp8" && flags.task === "dpo") throw new UsageError("--dtype fp8: expected --task pretrain or sft, an adapter is tuned in bf16");
    using machine = openBench(flags, io);
    const preset = flags.preset as PresetName;
    const [batch, sequenceLength] = batches[preset] ?? [1, 2048];
    const result = await benchStep(machine, {
      preset, task: flags.task, dtype: flags.dtype, steps: flags.steps, recompute: flags.recompute, profile: flags.profile,
      batch: flags.batch ?? batch, sequenceLength: flags.sequenceLength ?? sequenceLength,
    });
    reporter.result(result, () => {
      reporter.line(`${flags.task}, ${preset} ${flags.dtype}, ${result.batch} x ${result.sequenceLength} tokens, ${machine.open.description}`);
      reporter.line(`${withCommas(result.tokensPerSecond)} tokens/s (best ${withCommas(result.bestTokensPerSecond)}), `
        + `${result.gflops.toFixed(0)} GFLOP/s, ${percent(result.shareOfPeak)} of ${machine.peakName}, `
        + `${bytes(result.peakBytes)} at most, enqueued in ${result.enqueuedMs.toFixed(1)} ms`);
      if (result.profile !== undefined) reporter.line(profileTable(result.profile, machine));
    });
  },
});

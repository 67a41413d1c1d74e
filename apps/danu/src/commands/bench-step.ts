import { presetNames, type PresetName } from "@danu/model";

import { profileTable } from "../bench/profile.ts";
import { benchStep } from "../bench/step.ts";
import { taskNames } from "../bench/step-tasks.ts";
import { defineCommand, type Command } from "../cli/command.ts";
import { openCpu } from "../cli/device.ts";
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
    dtype: { type: "choice", choices: ["f32", "bf16"], default: "bf16", help: "element type of the forward pass" },
    batch: { type: "integer", value: "B", min: 1, max: 4096, help: "rows of a step; by the preset" },
    sequenceLength: { type: "integer", value: "T", min: 1, max: 1_000_000, help: "tokens in a row; by the preset" },
    steps: { type: "integer", value: "N", min: 1, max: 10_000, default: 8, help: "steps to time, after two that warm up" },
    recompute: { type: "boolean", help: "compute activations again in the backward pass, for less memory" },
    profile: { type: "boolean", help: "show the processor time of one more step by op" },
    threads: { type: "integer", value: "N", min: 1, max: 4096, help: "CPU threads; all by default" },
  },
  examples: ["danu bench step", "danu bench step --preset small --task dpo --dtype f32 --json"],
  run: async ({ flags }, io) => {
    const reporter = new Reporter(io, flags.json);
    using open = openCpu(flags.threads, io);
    const preset = flags.preset as PresetName;
    const [batch, sequenceLength] = batches[preset] ?? [1, 2048];
    const result = await benchStep(open.cpu, {
      preset, task: flags.task, dtype: flags.dtype, steps: flags.steps, recompute: flags.recompute, profile: flags.profile,
      batch: flags.batch ?? batch, sequenceLength: flags.sequenceLength ?? sequenceLength,
    });
    reporter.result(result, () => {
      reporter.line(`${flags.task}, ${preset} ${flags.dtype}, ${result.batch} x ${result.sequenceLength} tokens, ${open.description}`);
      reporter.line(`${withCommas(result.tokensPerSecond)} tokens/s (best ${withCommas(result.bestTokensPerSecond)}), `
        + `${result.gflops.toFixed(0)} GFLOP/s, ${percent(result.shareOfPeak)} of the measured peak, `
        + `${bytes(result.peakBytes)} at most`);
      if (result.profile !== undefined) reporter.line(profileTable(result.profile));
    });
  },
});

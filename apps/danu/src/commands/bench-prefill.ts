import { presetNames, type PresetName } from "@danu/model";

import { benchPrefill } from "../bench/generation.ts";
import { benchDeviceFlags, openBench } from "../bench/machine.ts";
import { profileTable } from "../bench/profile.ts";
import { defineCommand, type Command } from "../cli/command.ts";
import { percent, withCommas } from "../cli/format.ts";
import { Reporter } from "../cli/reporter.ts";

export const command: Command = defineCommand({
  name: "bench prefill",
  description: "Speed of reading a prompt, up to the first token chosen.",
  flags: {
    preset: { type: "choice", choices: presetNames, default: "medium", help: "model" },
    dtype: { type: "choice", choices: ["f32", "bf16"], default: "bf16", help: "element type" },
    prompt: { type: "integer", value: "N", min: 1, max: 1_000_000, default: 512, help: "tokens of the prompt" },
    runs: { type: "integer", value: "N", min: 1, max: 10_000, default: 8, help: "prompts to time, after one that warms up" },
    profile: { type: "boolean", help: "show the time of one more prompt by op; a GPU then waits for each kernel, in all runs" },
    ...benchDeviceFlags,
  },
  examples: ["danu bench prefill", "danu bench prefill --preset danube3-500m --prompt 2048 --json"],
  run: async ({ flags }, io) => {
    const reporter = new Reporter(io, flags.json);
    using machine = openBench(flags, io);
    const result = await benchPrefill(machine, { ...flags, preset: flags.preset as PresetName });
    reporter.result(result, () => {
      reporter.line(`${result.preset} ${result.dtype}, ${result.prompt} tokens, ${machine.open.description}`);
      reporter.line(`${withCommas(result.tokensPerSecond)} tokens/s (best ${withCommas(result.bestTokensPerSecond)}), `
        + `${result.gflops.toFixed(0)} GFLOP/s, ${percent(result.shareOfPeak)} of ${machine.peakName}`);
      if (result.profile !== undefined) reporter.line(profileTable(result.profile, machine));
    });
  },
});

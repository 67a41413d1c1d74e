import { presetNames, type PresetName } from "@danu/model";

import { benchDecode } from "../bench/generation.ts";
import { benchDeviceFlags, openBench } from "../bench/machine.ts";
import { profileTable } from "../bench/profile.ts";
import { defineCommand, type Command } from "../cli/command.ts";
import { percent } from "../cli/format.ts";
import { Reporter } from "../cli/reporter.ts";

export const command: Command = defineCommand({
  name: "bench decode",
  description: "Speed of adding tokens one at a time: model, scores, choice of the best. At best every weight is read once a token.",
  flags: {
    preset: { type: "choice", choices: presetNames, default: "medium", help: "model" },
    dtype: { type: "choice", choices: ["f32", "bf16"], default: "bf16", help: "element type" },
    prompt: { type: "integer", value: "N", min: 1, max: 1_000_000, default: 16, help: "tokens of the prompt" },
    tokens: { type: "integer", value: "N", min: 2, max: 1_000_000, help: "tokens to add in a run; 64 by default, on a GPU 256" },
    runs: { type: "integer", value: "N", min: 1, max: 10_000, default: 4, help: "runs to time" },
    profile: { type: "boolean", help: "show the time of one token by op; a GPU then waits for each kernel, in all runs" },
    ...benchDeviceFlags,
  },
  examples: ["danu bench decode", "danu bench decode --preset danube3-500m --prompt 2048 --json"],
  run: async ({ flags }, io) => {
    const reporter = new Reporter(io, flags.json);
    using machine = openBench(flags, io);
    const result = await benchDecode(machine, { ...flags, preset: flags.preset as PresetName });
    reporter.result(result, () => {
      reporter.line(`${result.preset} ${result.dtype}, ${result.tokens} tokens after ${result.prompt}, ${machine.open.description}`);
      reporter.line(`${result.tokensPerSecond.toFixed(1)} tokens/s by the median (best ${result.bestTokensPerSecond.toFixed(1)}, all ${result.wholeTokensPerSecond.toFixed(1)}), `
        + `${result.gigabytesPerSecond.toFixed(1)} GB/s, ${percent(result.shareOfBandwidth)} of the measured bandwidth`);
      if (result.profile !== undefined) reporter.line(profileTable(result.profile, machine));
    });
  },
});

import { benchAttention, type AttentionResult } from "../bench/attention.ts";
import { benchDeviceFlags, openBench } from "../bench/machine.ts";
import { defineCommand, type Command } from "../cli/command.ts";
import { percent, table } from "../cli/format.ts";
import { Reporter } from "../cli/reporter.ts";

export const command: Command = defineCommand({
  name: "bench attention",
  description: "Speed of attention, forward and backward: full causal, and with a sliding window.",
  flags: {
    batch: { type: "integer", value: "B", min: 1, max: 1024, default: 1, help: "rows" },
    length: { type: "integer", value: "T", min: 1, max: 1_000_000, default: 4096, help: "tokens in a row" },
    heads: { type: "integer", value: "H", min: 1, max: 1024, default: 8, help: "query heads" },
    keyValueHeads: { type: "integer", value: "G", min: 1, max: 1024, default: 2, help: "key-value heads" },
    headDim: { type: "integer", value: "D", min: 2, max: 1024, default: 80, help: "width of a head" },
    slidingWindow: { type: "integer", value: "W", min: 1, max: 1_000_000, default: 1024, help: "keys a query sees" },
    dtype: { type: "choice", choices: ["f32", "bf16"], default: "bf16", help: "element type" },
    ...benchDeviceFlags,
  },
  examples: ["danu bench attention", "danu bench attention --length 2048 --head-dim 64 --dtype f32 --json"],
  run: async ({ flags }, io) => {
    const reporter = new Reporter(io, flags.json);
    using machine = openBench(flags, io);
    const { batch, length, heads, keyValueHeads, headDim } = flags;
    const results: AttentionResult[] = [];
    for (const slidingWindow of [null, flags.slidingWindow]) {
      const shape = { batch, length, heads, keyValueHeads, headDim, slidingWindow };
      results.push(await benchAttention(machine, flags.dtype, shape));
    }
    const [full, windowed] = results as [AttentionResult, AttentionResult];
    const windowRatio = windowed.totalMs / full.totalMs;
    reporter.result({ full, windowed, windowRatio }, () => {
      reporter.line(table(["window", "forward ms", "forward + backward ms", "GFLOP/s", "of peak"], results.map((r) => [
        r.slidingWindow === null ? "none" : String(r.slidingWindow), r.forwardMs.toFixed(1), r.totalMs.toFixed(1),
        r.gflops.toFixed(1), percent(r.shareOfPeak),
      ])));
      reporter.line(`the window takes ${windowRatio.toFixed(2)} of the time of full causal attention`);
    });
  },
});

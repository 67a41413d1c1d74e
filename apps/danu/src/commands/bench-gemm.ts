import { benchGemm, gemmShapes, type GemmResult } from "../bench/gemm.ts";
import { benchDeviceFlags, openBench } from "../bench/machine.ts";
import { defineCommand, type Command } from "../cli/command.ts";
import { UsageError } from "../cli/errors.ts";
import { percent, table } from "../cli/format.ts";
import { Reporter } from "../cli/reporter.ts";

export const command: Command = defineCommand({
  name: "bench gemm",
  description: "Speed of matrix products, and their share of the multiply-add peak measured between the runs.",
  flags: {
    shape: { type: "text", value: "MxNxK", multiple: true, help: "sizes to measure; those of the presets' layers by default" },
    dtype: { type: "choice", choices: ["f32", "bf16", "both"], default: "both", help: "element type" },
    ...benchDeviceFlags,
  },
  examples: ["danu bench gemm", "danu bench gemm --shape 1024x1024x1024 --dtype bf16 --json"],
  run: async ({ flags }, io) => {
    const reporter = new Reporter(io, flags.json);
    using machine = openBench(flags, io);
    const shapes = flags.shape === undefined || flags.shape.length === 0 ? gemmShapes : flags.shape.map(parseShape);
    const results: GemmResult[] = [];
    for (const dtype of flags.dtype === "both" ? ["f32", "bf16"] as const : [flags.dtype]) {
      for (const shape of shapes) {
        reporter.progress(`measuring ${shape.join(" x ")} ${dtype}`);
        results.push(await benchGemm(machine, dtype, shape));
      }
    }
    reporter.result(results, () => reporter.line(table(["m", "n", "k", "type", "GFLOP/s", "of peak"], results.map((r) => [
      String(r.m), String(r.n), String(r.k), r.dtype, r.gflops.toFixed(1), percent(r.shareOfPeak),
    ]))));
  },
});

function parseShape(text: string): readonly [number, number, number] {
  const match = /^(\d{1,6})x(\d{1,6})x(\d{1,6})$/.exec(text);
  if (match === null) throw new UsageError(`--shape: expected sizes as 1024x1024x1024, got "${text}"`);
  return [Number(match[1]), Number(match[2]), Number(match[3])];
}

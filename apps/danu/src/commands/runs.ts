import { defineCommand, type Command } from "../cli/command.ts";
import { duration, percent, short, table, withCommas } from "../cli/format.ts";
import { Reporter } from "../cli/reporter.ts";
import { findRuns, type RunOverview } from "../run/find-runs.ts";

export const command: Command = defineCommand({
  name: "runs",
  description: "Lists run folders side by side. A path is a run folder, or a folder of them.",
  positionals: { name: "[DIR…]", min: 0, max: Infinity },
  flags: {},
  examples: ["danu runs", "danu runs runs/wide runs/deep --json"],
  run: async ({ flags, positionals }, io) => {
    const reporter = new Reporter(io, flags.json);
    const runs = await findRuns(positionals.length === 0 ? ["runs"] : positionals);
    reporter.result(runs, () => {
      if (runs.length === 0) reporter.line("no run here; start one with danu pretrain, sft or dpo");
      else reporter.line(table(head, runs.map(row)));
    });
  },
});

const head = [
  "run",
  "of",
  "model",
  "dtype",
  "step",
  "tokens",
  "loss",
  "validation",
  "best",
  "tokens/s",
  "of peak",
  "time",
  "state",
];

function row(run: RunOverview): string[] {
  const number = (value: number | null, write: (value: number) => string): string =>
    value === null ? "–" : write(value);
  const fixed = (value: number): string => value.toFixed(4);
  return [
    run.folder,
    run.command,
    run.model ?? "–",
    run.dtype ?? "–",
    `${withCommas(run.step)}/${number(run.steps, withCommas)}`,
    short(run.tokens),
    number(run.loss, fixed),
    number(run.validationLoss, fixed),
    number(run.bestValidationLoss, fixed),
    number(run.tokensPerSecond, withCommas),
    number(run.shareOfPeak, percent),
    duration(run.seconds),
    run.complete ? "complete" : "unfinished",
  ];
}

import { existsSync } from "node:fs";
import { join, relative, resolve } from "node:path";

import { defineCommand, type Command } from "../cli/command.ts";
import { deviceFlags, openDevice } from "../cli/device.ts";
import { Reporter } from "../cli/reporter.ts";
import { writeCorpus } from "../quickstart/corpus.ts";
import { exitCodeOf, reportRun } from "../run/finish.ts";
import { pretrain } from "../run/pretrain.ts";

const seed = 1;

export const command: Command = defineCommand({
  name: "quickstart",
  description: "Writes stories of a small made-up village, trains a model of preset nano on them from the start, and "
    + "lets it tell one. It takes a few minutes and needs no download. Run again, it goes on where it was stopped.",
  flags: {
    out: {
      type: "text", value: "DIR", default: "runs/quickstart", help: "folder for the stories, the run and the model",
    },
    steps: { type: "integer", value: "N", min: 1, default: 250, help: "optimizer steps" },
    stories: { type: "integer", value: "N", min: 10, max: 1_000_000, default: 10_000, help: "stories to write" },
    ...deviceFlags,
  },
  examples: ["npm run quickstart", "danu quickstart --steps 600 --out runs/longer"],
  run: async ({ flags }, io) => {
    const reporter = new Reporter(io, flags.json);
    const out = resolve(flags.out);
    reporter.line(`writing ${flags.stories} stories of a village that does not exist into ${relative(".", out)}`);
    const corpus = await writeCorpus(out, seed, flags.stories);
    const run = join(out, "pretrain");
    using device = openDevice(flags, io, reporter);
    const result = await pretrain({
      layer: {
        model: { preset: "nano" }, tokenizer: corpus.tokenizer, data: [{ paths: [corpus.stories] }],
        steps: flags.steps, tokensPerBatch: 4096, seed, validation: { every: 50, tokens: 16_384 },
        sample: { prompt: "Once upon a time", maxTokens: 150, temperature: 0.7 },
      },
      source: "quickstart", out: run, resume: existsSync(join(run, "recipe.json")), device, reporter,
    });
    reportRun(result, run, reporter);
    return exitCodeOf(result);
  },
});

import { resolve } from "node:path";

import { defineCommand, type Command } from "../cli/command.ts";
import { deviceFlags, openDevice } from "../cli/device.ts";
import { Reporter } from "../cli/reporter.ts";
import { runQuickstart } from "../quickstart/run-quickstart.ts";

export const command: Command = defineCommand({
  name: "quickstart",
  description: "From nothing to a chat model, in minutes and without a download: makes up a small village, writes "
    + "stories of it, trains a tokenizer and a model of preset nano on them, then on conversations (SFT) and on better "
    + "and worse answers (DPO), and after every stage asks it questions that were never asked in training. Run again, it "
    + "goes on where it was stopped.",
  flags: {
    out: { type: "text", value: "DIR", default: "runs/quickstart", help: "folder for the data, the runs and the models" },
    steps: { type: "integer", value: "N", min: 1, max: 100_000, default: 1200, help: "steps of pretraining" },
    epochs: { type: "number", value: "X", min: 0.001, max: 100, default: 4, help: "passes of SFT over the conversations; DPO makes half as many" },
    seed: { type: "integer", value: "N", min: 0, default: 1, help: "of the village, the weights and the data order" },
    ...deviceFlags,
  },
  examples: ["npm run quickstart", "danu quickstart --seed 2 --out runs/another-village"],
  run: async ({ flags }, io) => {
    const reporter = new Reporter(io, flags.json);
    using device = openDevice(flags, io, reporter);
    const { steps, epochs, seed } = flags;
    return await runQuickstart({ folder: resolve(flags.out), steps, epochs, seed, device, reporter });
  },
});

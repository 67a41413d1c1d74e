import { resolve } from "node:path";

import { defineCommand, type Command } from "../cli/command.ts";
import { deviceFlags, openDevice } from "../cli/device.ts";
import { UsageError } from "../cli/errors.ts";
import { Reporter } from "../cli/reporter.ts";
import { dropUndefined, layerRecipes } from "../recipe/layers.ts";
import { passesFromFlags, passFlags } from "../recipe/pass-flags.ts";
import { recipeFlag, runFolderFlags } from "../recipe/run-flags.ts";
import { checkSftRecipe } from "../recipe/schema.ts";
import { formatHelp, tuningFlags, tuningFromFile, tuningFromFlags } from "../recipe/tuning-flags.ts";
import type { SftLayer } from "../recipe/tuning.ts";
import { exitCodeOf, reportRun } from "../run/finish.ts";
import { sft } from "../run/sft.ts";

export const command: Command = defineCommand({
  name: "sft",
  description: "Fine-tunes a model on conversations: what the assistant says is trained, all else is given. Every weight "
    + "is trained, or with a flag of --lora an adapter. The chat template is the model folder's, or Danube's where it "
    + `has none. Formats: ${formatHelp("readConversations")}.`,
  flags: {
    ...recipeFlag,
    ...tuningFlags,
    tokensPerBatch: { type: "integer", value: "N", min: 1, help: "tokens of a step (default 8 rows)" },
    ...passFlags,
    neftuneAlpha: { type: "number", value: "X", min: 0, help: "noise on the embeddings, NEFTune; often 5 (default 0)" },
    ...runFolderFlags,
    ...deviceFlags,
  },
  examples: [
    "danu sft --model runs/stories/model --data chats.jsonl --out runs/chat",
    "danu sft --model danube --data hf:HuggingFaceH4/ultrachat_200k --lora-rank 16 --out runs/chat",
    "danu sft --out runs/chat --resume",
  ],
  run: async ({ flags }, io) => {
    const reporter = new Reporter(io, flags.json);
    const { recipe: file, out, resume } = flags;
    if (!resume && file === undefined && (flags.model === undefined || flags.data.length === 0)) {
      throw new UsageError("expected --recipe FILE, or --model DIR and --data FILE …");
    }
    const fromFile = file === undefined ? {} : await tuningFromFile(file, checkSftRecipe);
    const own = { ...dropUndefined({ tokensPerBatch: flags.tokensPerBatch, neftuneAlpha: flags.neftuneAlpha }), ...passesFromFlags(flags) };
    const layer = layerRecipes<SftLayer>(fromFile, tuningFromFlags(flags), own);
    using device = openDevice(flags, io, reporter);
    const result = await sft({ layer, source: file ?? "recipe", out: resolve(out), resume, device, reporter });
    reportRun(result, out, reporter);
    return exitCodeOf(result);
  },
});

import { resolve } from "node:path";

import { defineCommand, type Command } from "../cli/command.ts";
import { deviceFlags, openDevice } from "../cli/device.ts";
import { UsageError } from "../cli/errors.ts";
import { Reporter } from "../cli/reporter.ts";
import { exitCodeOf, reportRun } from "../run/finish.ts";
import { pretrain } from "../run/pretrain.ts";
import { recipeFlags, recipeFromFlags, recipeFromFile } from "../recipe/flags.ts";
import { layerRecipes } from "../recipe/layers.ts";
import { passesFromFlags, passFlags } from "../recipe/pass-flags.ts";
import type { RecipeLayer } from "../recipe/recipe.ts";
import { recipeFlag, runFolderFlags } from "../recipe/run-flags.ts";

export const command: Command = defineCommand({
  name: "pretrain",
  description: "Trains a model on text from the start. A recipe file decides what is computed, flags override it, and "
    + "the resolved recipe is kept in the run folder.",
  flags: {
    ...recipeFlag,
    ...recipeFlags,
    ...passFlags,
    ...runFolderFlags,
    ...deviceFlags,
  },
  examples: [
    "danu pretrain --data stories.txt --tokenizer tokenizer.model --preset nano --steps 500 --out runs/stories",
    "danu pretrain --recipe recipe.json --out runs/first --learning-rate 1e-3",
    "danu pretrain --out runs/first --resume",
  ],
  run: async ({ flags }, io) => {
    const reporter = new Reporter(io, flags.json);
    const { recipe: file, out, resume } = flags;
    if (!resume && file === undefined && flags.data.length === 0) {
      throw new UsageError("expected --recipe FILE or --data PATH …");
    }
    const fromFile = file === undefined ? {} : await recipeFromFile(file);
    const layer = layerRecipes<RecipeLayer>(fromFile, recipeFromFlags(flags), passesFromFlags(flags));
    using device = openDevice(flags, io, reporter);
    const result = await pretrain({ layer, source: file ?? "recipe", out: resolve(out), resume, device, reporter });
    reportRun(result, out, reporter);
    return exitCodeOf(result);
  },
});

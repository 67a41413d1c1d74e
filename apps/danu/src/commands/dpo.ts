import { resolve } from "node:path";

import { divergences, preferenceLosses, type Divergence } from "@danu/dpo";

import { defineCommand, type Command } from "../cli/command.ts";
import { deviceFlags, openDevice } from "../cli/device.ts";
import { UsageError } from "../cli/errors.ts";
import type { FlagValues } from "../cli/flags.ts";
import { Reporter } from "../cli/reporter.ts";
import { dropUndefined, layerRecipes } from "../recipe/layers.ts";
import { recipeFlag, runFolderFlags } from "../recipe/run-flags.ts";
import { checkDpoRecipe } from "../recipe/schema.ts";
import { formatHelp, tuningFlags, tuningFromFile, tuningFromFlags } from "../recipe/tuning-flags.ts";
import { pairLosses, type DpoLayer } from "../recipe/tuning.ts";
import { dpo } from "../run/dpo.ts";
import { exitCodeOf, reportRun } from "../run/finish.ts";

const lossFlags = {
  loss: { type: "choice", choices: pairLosses, help: "what is minimised (default sigmoid)" },
  beta: {
    type: "number", value: "X", min: 0, help: "how strongly the reference holds (default 0.2, other losses their own)",
  },
  labelSmoothing: { type: "number", value: "X", min: 0, max: 0.5, help: "share of pairs taken to be swapped" },
  margin: { type: "number", value: "X", help: "by how much the chosen reward should lead, of simpo" },
  divergence: {
    type: "choice", choices: Object.keys(divergences) as Divergence[], help: "what holds the policy to the reference (default reverse_kl)",
  },
  divergenceAlpha: { type: "number", value: "X", help: "α of alpha_divergence (default 0.5)" },
  referenceFree: { type: "boolean", help: "leave the reference out: rewards are log-probabilities alone" },
  pairsPerBatch: { type: "integer", value: "N", min: 1, help: "pairs of a step (default 16)" },
  reference: { type: "text", value: "DIR", help: "frozen second model (default the model itself, its adapter off)" },
  precomputeReference: { type: "boolean", help: "compute what the reference says once, and keep it in the run folder" },
  full: { type: "boolean", help: "train all weights, not an adapter" },
} as const;

export const command: Command = defineCommand({
  name: "dpo",
  description: "Tunes a model on pairs of better and worse answers: an adapter of rank 4 by default, against the model "
    + `without it. Formats: ${formatHelp("readPreferences")}.\n\nLosses:\n${lossHelp()}`,
  flags: {
    ...recipeFlag,
    ...tuningFlags,
    dtype: { type: "choice", choices: ["f32", "bf16"], help: "element type of the passes (default the faster here)" },
    ...lossFlags,
    ...runFolderFlags,
    ...deviceFlags,
  },
  examples: [
    "danu dpo --model runs/chat/model --data pairs.jsonl --out runs/preferred",
    "danu dpo --model runs/chat/model --data pairs.jsonl --loss ipo --beta 0.1 --full --precompute-reference --out runs/ipo",
    "danu dpo --out runs/preferred --resume",
  ],
  run: async ({ flags }, io) => {
    const reporter = new Reporter(io, flags.json);
    const { recipe: file, out, resume } = flags;
    if (!resume && file === undefined && (flags.model === undefined || flags.data.length === 0)) {
      throw new UsageError("expected --recipe FILE, or --model DIR and --data FILE …");
    }
    const fromFile = file === undefined ? {} : await tuningFromFile(file, checkDpoRecipe);
    const layer = layerRecipes<DpoLayer>(fromFile, tuningFromFlags(flags), dropUndefined({ dtype: flags.dtype }), fromLossFlags(flags, fromFile));
    using device = openDevice(flags, io, reporter);
    const result = await dpo({ layer, source: file ?? "recipe", out: resolve(out), resume, device, reporter });
    reportRun(result, out, reporter);
    return exitCodeOf(result);
  },
});

/** Every loss on a line. */
function lossHelp(): string {
  return Object.values(preferenceLosses).map(({ name, summary }) => `  ${name.padEnd(14)}${summary}`).join("\n");
}

/** The fields that only this command's flags set. Parameters without --loss are those of the recipe's one loss. */
function fromLossFlags(flags: FlagValues<typeof lossFlags>, { losses = [] }: DpoLayer): DpoLayer {
  const { beta, labelSmoothing, margin, divergence, divergenceAlpha, loss } = flags;
  const referenceFree = flags.referenceFree ? true : undefined;
  const parameters = dropUndefined({ beta, labelSmoothing, margin, divergence, divergenceAlpha, referenceFree });
  const isGiven = loss !== undefined || Object.keys(parameters).length > 0;
  if (isGiven && loss === undefined && losses.length > 1) {
    throw new UsageError("expected --loss with the flags of a loss, such as --beta, since the recipe has several losses");
  }
  const term = loss === undefined ? (losses[0] ?? { loss: "sigmoid" as const }) : { loss };
  return dropUndefined({
    losses: isGiven ? [{ ...term, ...parameters }] : undefined,
    pairsPerBatch: flags.pairsPerBatch,
    reference: dropUndefined({
      model: flags.reference === undefined ? undefined : resolve(flags.reference),
      precompute: flags.precomputeReference ? true : undefined,
    }),
    lora: flags.full ? null : undefined,
  });
}

import { join } from "node:path";

import { readRecipe } from "@danu/train";

import { fastestDtype } from "../../cli/device.ts";
import { requireSameFields, required } from "../../recipe/layers.ts";
import type { TuningContext, TuningLayer, TuningRecipe } from "../../recipe/tuning.ts";
import type { RunOptions } from "../execute-run.ts";
import { openTuningSource, systemMessagesOf, type TuningSource } from "./source.ts";

/** How the recipe of one kind of fine-tuning is checked and completed. */
export interface TuningKind<L, R> {
  check(value: unknown, source: string): L;
  complete(layer: L, context: TuningContext): R;
}

/** The recipe of a run, completed, or with `resume` the one that it has; and what it starts from.
 *  @throws InputError, RunFolderError, and the errors of the model folder */
export async function resolveTuning<L extends TuningLayer, R extends TuningRecipe>(
  { layer, source, out, resume, device }: RunOptions<L>, { check, complete }: TuningKind<L, R>,
): Promise<{ readonly recipe: R; readonly start: TuningSource }> {
  const whole = resume ? check(await readRecipe(out), join(out, "recipe.json")) : layer;
  if (resume) requireSameFields(layer, whole);
  const model = required(whole.model, "model", "--model", source);
  const start = await openTuningSource(model, whole.tokenizer ?? model, whole.chatTemplate ?? null);
  const systemMessages = systemMessagesOf(start.template);
  return { recipe: complete(whole, { config: start.config, dtype: fastestDtype(device), systemMessages, source }), start };
}

import { existsSync } from "node:fs";
import { readdir } from "node:fs/promises";
import { join, relative } from "node:path";

import { planStages } from "@danu/data";
import { readMetrics, readRecipe, runPaths } from "@danu/train";

import { InputError } from "../cli/errors.ts";
import { checkDpoRecipe, checkRecipe, checkSftRecipe } from "../recipe/schema.ts";
import type { RunRecipe } from "./run-parts.ts";

/** What is known of a run without opening its checkpoints. */
export interface RunOverview {
  readonly folder: string;
  readonly command: RunRecipe["command"];
  /** Preset of a model trained from the start, else the folder of the model that was fine-tuned. */
  readonly model: string | null;
  readonly dtype: string | null;
  readonly step: number;
  /** Steps of the whole run. */
  readonly steps: number | null;
  readonly tokens: number;
  readonly seconds: number;
  /** Of the last step, in nats per token. */
  readonly loss: number | null;
  readonly validationLoss: number | null;
  readonly bestValidationLoss: number | null;
  /** Median of the last steps. */
  readonly tokensPerSecond: number | null;
  readonly shareOfPeak: number | null;
  readonly complete: boolean;
}

/** The runs in folders, each a run folder or a folder of run folders, in the order given, then by name.
 *  @throws InputError when a folder is not there  @throws RunFileError, MetricsError */
export async function findRuns(paths: readonly string[]): Promise<RunOverview[]> {
  const runs: RunOverview[] = [];
  for (const path of paths) {
    if (!existsSync(path)) throw new InputError(`${path}: expected a folder of runs, there is none`);
    const names = isRun(path) ? [""] : (await readdir(path)).sort();
    for (const name of names) if (isRun(join(path, name))) runs.push(await overview(join(path, name)));
  }
  return runs;
}

/** True for a run that has begun. */
function isRun(path: string): boolean {
  const { recipe, metrics } = runPaths(path);
  return existsSync(recipe) && existsSync(metrics);
}

async function overview(folder: string): Promise<RunOverview> {
  const paths = runPaths(folder);
  const { command, model, dtype, steps } = describe(await readRecipe(folder), paths.recipe);
  const records = await readMetrics(paths.metrics);
  const last = records.at(-1);
  const validationLosses = records.flatMap((record) => record.validationLoss ?? []);
  return {
    folder,
    command,
    model,
    dtype,
    step: last?.step ?? 0,
    steps,
    tokens: last?.tokens ?? 0,
    seconds: last?.seconds ?? 0,
    loss: last?.loss ?? null,
    validationLoss: validationLosses.at(-1) ?? null,
    bestValidationLoss: validationLosses.length === 0 ? null : validationLosses.reduce((a, b) => Math.min(a, b)),
    tokensPerSecond: last?.tokensPerSecond ?? null,
    shareOfPeak: last?.shareOfPeak ?? null,
    complete: last !== undefined && (steps === null ? existsSync(join(folder, "model")) : last.step === steps),
  };
}

type Description = Pick<RunOverview, "command" | "model" | "dtype" | "steps">;

function describe(recipe: unknown, source: string): Description {
  const command = (recipe as { readonly command?: unknown } | null)?.command;
  if (command === "sft" || command === "dpo") {
    const { model, dtype, steps } = (command === "sft" ? checkSftRecipe : checkDpoRecipe)(recipe, source);
    return { command, model: model === undefined ? null : relative(".", model), dtype: dtype ?? null, steps: steps ?? null };
  }
  const { model, dtype, stages, tokensPerBatch } = checkRecipe(recipe, source);
  const steps = stages === undefined || tokensPerBatch === undefined
    ? null
    : planStages(stages, tokensPerBatch).reduce((sum, stage) => sum + stage.steps, 0);
  return { command: "pretrain", model: model?.preset ?? null, dtype: dtype ?? null, steps };
}

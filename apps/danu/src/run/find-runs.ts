import { existsSync } from "node:fs";
import { readdir } from "node:fs/promises";
import { join } from "node:path";

import { planStages } from "@danu/data";
import { readMetrics, readRecipe, runPaths } from "@danu/train";

import { InputError } from "../cli/errors.ts";
import type { RecipeLayer } from "../recipe/recipe.ts";
import { checkRecipe } from "../recipe/schema.ts";

/** What is known of a run without opening its checkpoints. */
export interface RunOverview {
  readonly folder: string;
  readonly preset: string | null;
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
  const recipe = checkRecipe(await readRecipe(folder), paths.recipe);
  const records = await readMetrics(paths.metrics);
  const last = records.at(-1);
  const validationLosses = records.flatMap((record) => record.validationLoss ?? []);
  const steps = stepsOf(recipe);
  return {
    folder,
    preset: recipe.model?.preset ?? null,
    dtype: recipe.dtype ?? null,
    step: last?.step ?? 0,
    steps,
    tokens: last?.tokens ?? 0,
    seconds: last?.seconds ?? 0,
    loss: last?.loss ?? null,
    validationLoss: validationLosses.at(-1) ?? null,
    bestValidationLoss: validationLosses.length === 0 ? null : validationLosses.reduce((a, b) => Math.min(a, b)),
    tokensPerSecond: last?.tokensPerSecond ?? null,
    shareOfPeak: last?.shareOfPeak ?? null,
    complete: last !== undefined && last.step === steps,
  };
}

function stepsOf({ stages, tokensPerBatch }: RecipeLayer): number | null {
  if (stages === undefined || tokensPerBatch === undefined) return null;
  return planStages(stages, tokensPerBatch).reduce((sum, stage) => sum + stage.steps, 0);
}

import { parameterCount } from "@danu/model";
import { readMetrics, writeReport, type RunPaths, type Sample } from "@danu/train";

import { short } from "../cli/format.ts";
import type { Recipe } from "../recipe/recipe.ts";

/** Writes `report.html` of a run from its metrics so far. @throws RunFileError */
export async function writeRunReport(paths: RunPaths, recipe: Recipe, sample: Sample | null): Promise<void> {
  await writeReport(paths.report, {
    title: `Pretraining ${recipe.model.preset}`,
    records: await readMetrics(paths.metrics),
    recipe,
    facts: [
      ["preset", recipe.model.preset],
      ["parameters", short(parameterCount(recipe.model))],
      ["computed in", recipe.dtype],
    ],
    samples: sample === null ? [] : [sample],
  });
}

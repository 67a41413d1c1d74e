import { readMetrics, writeReport, type RunPaths, type Sample } from "@danu/train";

/** What a report begins with. */
export interface ReportHead {
  readonly title: string;
  readonly facts: readonly (readonly [name: string, value: string])[];
}

/** Writes `report.html` of a run from its metrics so far. @throws RunFileError */
export async function writeRunReport(
  paths: RunPaths, head: ReportHead, recipe: unknown, sample: Sample | null,
): Promise<void> {
  const records = await readMetrics(paths.metrics);
  await writeReport(paths.report, { ...head, records, recipe, samples: sample === null ? [] : [sample] });
}

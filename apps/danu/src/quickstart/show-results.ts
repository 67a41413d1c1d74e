import { readMetrics, runPaths } from "@danu/train";

import { duration, table } from "../cli/format.ts";
import type { Mark } from "./examine.ts";
import type { StageResult } from "./results.ts";
import { runFolder, type StageName } from "./stages.ts";

/** What the stages are called before people. */
export const stageTitles: Readonly<Record<StageName, string>> = {
  pretrain: "pretrained on stories",
  sft: "+ conversations (SFT)",
  dpo: "+ preferences (DPO)",
};

/** Stages with what they are worth, as rows of a table. */
export const resultHead = ["after", "questions right", "better answer preferred", "steps", "time"] as const;

/** A row for every stage. */
export function resultRows(results: readonly StageResult[]): string[][] {
  return results.map(({ stage, questions, preferences, steps, seconds }) => [
    stageTitles[stage], share(questions), share(preferences), String(steps), duration(seconds),
  ]);
}

/** The table for a terminal. */
export function resultTable(results: readonly StageResult[]): string {
  return table(resultHead, resultRows(results));
}

/** 88.4 %, and of how many. */
export function share({ right, of }: Mark): string {
  return `${((100 * right) / Math.max(of, 1)).toFixed(1)} % of ${of}`;
}

/** The loss of every stage as a line of blocks, with its first and last values. */
export async function lossCurves(folder: string, results: readonly StageResult[], width: number): Promise<string> {
  const rows = await Promise.all(results.map(async ({ stage }) => {
    const losses = (await readMetrics(runPaths(runFolder(folder, stage)).metrics)).map(({ loss }) => loss);
    return [stage, losses[0]?.toFixed(2) ?? "", sparkline(losses, width), losses.at(-1)?.toFixed(2) ?? ""];
  }));
  return table(["loss of", "first", "", "last"], rows);
}

const blocks = "▁▂▃▄▅▆▇█";

/** Values as blocks of eight heights, each the mean of a part of them; from the least to the greatest mean. */
export function sparkline(values: readonly number[], width: number): string {
  const count = Math.min(width, values.length);
  const means = Array.from({ length: count }, (_, i) => {
    const part = values.slice(Math.floor((i * values.length) / count), Math.floor(((i + 1) * values.length) / count));
    return part.reduce((sum, value) => sum + value, 0) / part.length;
  });
  const [low, high] = [Math.min(...means), Math.max(...means)];
  const height = (mean: number): number => (high > low ? Math.round(((mean - low) / (high - low)) * (blocks.length - 1)) : 0);
  return means.map((mean) => (Number.isFinite(mean) ? blocks[height(mean)]! : " ")).join("");
}

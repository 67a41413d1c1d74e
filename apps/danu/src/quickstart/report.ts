import { relative } from "node:path";

import { escapeHtml, htmlPage, lineChart, readMetrics, runPaths, type MetricsRecord, type Point } from "@danu/train";

import { placeFile } from "../cli/place-file.ts";
import type { StageResult } from "./results.ts";
import { resultHead, resultRows, stageTitles } from "./show-results.ts";
import { runFolder } from "./stages.ts";
import type { Exchange } from "./transcript.ts";

/** Writes the report of a quickstart: what each stage is worth, its curve with a link to its own report, the answers to
 *  some questions after each, and the talk at the end. */
export async function writeQuickstartReport(
  path: string, folder: string, results: readonly StageResult[], said: readonly Exchange[],
): Promise<void> {
  const curves = await Promise.all(results.map(async ({ stage }) => {
    const paths = runPaths(runFolder(folder, stage));
    const link = `<a href="${encodeURI(relative(folder, paths.report))}">its report</a>`;
    return `<h2>${escapeHtml(stageTitles[stage])}: ${link}</h2>\n${lossChart(await readMetrics(paths.metrics))}`;
  }));
  await placeFile(path, htmlPage("From nothing to a chat model", [
    "<p class=\"lead\">Questions and pairs of the examination are about facts that the stories tell and that no "
      + "conversation of the training asked about.</p>",
    htmlTable(resultHead, resultRows(results)),
    ...curves,
    "<h2>The same questions after every stage</h2>",
    htmlTable(["question", ...results.map(({ stage }) => stageTitles[stage])], answerRows(results)),
    "<h2>A talk with the model</h2>",
    ...said.map(({ question, answer }) => `<pre><b>${escapeHtml(question)}</b>\n${escapeHtml(answer)}</pre>`),
  ].join("\n")));
}

function lossChart(records: readonly MetricsRecord[]): string {
  const points = (value: (record: MetricsRecord) => number | undefined): Point[] => records.flatMap((record) => {
    const y = value(record);
    return y === undefined ? [] : [[record.step, y] as const];
  });
  return lineChart({
    title: "Loss", unit: "of the stage's own kind", width: 1024, height: 240, fromZero: true,
    series: [
      { name: "training", tone: "a", points: points((record) => record.loss) },
      { name: "held out", tone: "b", points: points((record) => record.validationLoss) },
    ],
  });
}

const shownQuestions = 12;

/** Questions spread over all of them, with the answers of every stage. */
function answerRows(results: readonly StageResult[]): string[][] {
  const questions = results[0]?.answers ?? [];
  const every = Math.max(1, Math.floor(questions.length / shownQuestions));
  return questions.flatMap(({ question }, i) => (
    i % every === 0 ? [[question, ...results.map(({ answers }) => markedText(answers[i]))]] : []
  ));
}

function markedText(marked: StageResult["answers"][number] | undefined): string {
  return marked === undefined ? "" : `${marked.right ? "✓" : "✗"} ${marked.answer}`;
}

function htmlTable(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const row = (cells: readonly string[], tag: string): string => (
    `<tr>${cells.map((cell) => `<${tag}>${escapeHtml(cell)}</${tag}>`).join("")}</tr>`
  );
  return `<table>${row(head, "th")}${rows.map((cells) => row(cells, "td")).join("\n")}</table>`;
}

import { replaceFile } from "../files.ts";
import type { MetricsRecord } from "../metrics.ts";
import { lineChart, type Point, type Series } from "./chart.ts";
import { escapeHtml, formatNumber, formatSeconds } from "./format.ts";
import { script, style } from "./page.ts";

/** Text a model wrote. */
export interface Sample {
  readonly prompt: string;
  /** What came after the prompt. */
  readonly text: string;
}

/** What a report shows. */
export interface ReportOptions {
  readonly title: string;
  readonly records: readonly MetricsRecord[];
  /** The resolved recipe, as JSON. */
  readonly recipe: unknown;
  /** Things to name first, as `["preset", "nano"]`; what follows from the records is added. */
  readonly facts?: readonly (readonly [name: string, value: string | number])[];
  readonly samples?: readonly Sample[];
}

/** The page may use what is in it and load nothing. */
const policy = "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'";

/** Writes the report of a run: one HTML file that needs no network. @throws RunFileError */
export async function writeReport(path: string, options: ReportOptions): Promise<void> {
  await replaceFile(path, renderReport(options));
}

/** The report of a run as HTML: figures, curves, samples, recipe. All given text is shown as text. */
export function renderReport({ title, records, recipe, facts = [], samples = [] }: ReportOptions): string {
  const given = facts.map(([name, value]) => [name, typeof value === "number" ? formatNumber(value) : value] as const);
  const rows = [...given, ...factsOf(records)].map(([name, value]) => (
    `<div><dt>${escapeHtml(name)}</dt><dd>${escapeHtml(value)}</dd></div>`
  ));
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="${policy}">
<title>${escapeHtml(title)}</title>
<style>${style}</style>
</head>
<body>
<h1>${escapeHtml(title)}</h1>
<p class="lead">${leadOf(records.at(-1))}</p>
${warning(records)}
<dl>${rows.join("\n")}</dl>
<div class="charts">
${charts(records).join("\n")}
</div>
${samples.length === 0 ? "" : `<h2>Samples</h2>\n${samples.map(sample).join("\n")}`}
<h2>Recipe</h2>
<pre>${escapeHtml(JSON.stringify(recipe, null, 2) ?? "none")}</pre>
<script>${script}</script>
</body>
</html>
`;
}

function leadOf(last: MetricsRecord | undefined): string {
  if (last === undefined) return "No step was taken.";
  return `${last.step} steps, ${formatNumber(last.tokens)} tokens, ${formatSeconds(last.seconds)}`;
}

function sample({ prompt, text }: Sample): string {
  return `<pre><b>${escapeHtml(prompt)}</b>${escapeHtml(text)}</pre>`;
}

function factsOf(records: readonly MetricsRecord[]): (readonly [string, string])[] {
  const last = records.at(-1);
  if (last === undefined) return [];
  const validationLosses = records.flatMap((record) => record.validationLoss ?? []);
  const shares = records.flatMap((record) => record.shareOfPeak ?? []);
  const peakBytes = Math.max(0, ...records.slice(-1000).map((record) => record.peakBytes ?? 0));
  return [
    ["tokens", formatNumber(last.tokens)],
    ["time", formatSeconds(last.seconds)],
    ["tokens a second", formatNumber(median(records.map((record) => record.tokensPerSecond)))],
    ...(shares.length === 0 ? [] : [["share of peak", `${(median(shares) * 100).toFixed(1)} %`] as const]),
    ...(peakBytes === 0 ? [] : [["peak memory", `${formatNumber(peakBytes / 1e9)} GB`] as const]),
    ["last loss", formatNumber(last.loss)],
    ...(validationLosses.length === 0 ? [] : [
      ["last validation loss", formatNumber(validationLosses.at(-1)!)] as const,
      ["best validation loss", formatNumber(validationLosses.reduce((a, b) => Math.min(a, b)))] as const,
    ]),
  ];
}

function warning(records: readonly MetricsRecord[]): string {
  const bad = records.find(({ loss, gradientNorm }) => !Number.isFinite(loss) || !Number.isFinite(gradientNorm));
  if (bad === undefined) return "";
  const what = `a loss of ${bad.loss} and a gradient norm of ${bad.gradientNorm}`;
  return `<p class="warning">Step ${bad.step} had ${what}; its update was not made.</p>`;
}

function charts(records: readonly MetricsRecord[]): string[] {
  const points = (value: (record: MetricsRecord) => number | undefined): Point[] => records.flatMap((record) => {
    const y = value(record);
    return y === undefined ? [] : [[record.step, y] as const];
  });
  const small = { width: 330, height: 210 };
  const one = (name: string, value: (record: MetricsRecord) => number): { series: Series[]; fromZero: true } => (
    { series: [{ name, tone: "a", points: points(value) }], fromZero: true }
  );
  const loss = points((record) => record.loss);
  const calm = movingMedian(loss);
  const series: Series[] = [
    { name: "loss", tone: calm.length === 0 ? "a" : "faint", points: loss },
    { name: "median", tone: "a", points: calm },
    { name: "validation", tone: "b", points: points((record) => record.validationLoss) },
  ];
  return [
    lineChart({ title: "Loss", unit: "nats per token", series, width: 1024, height: 320 }),
    lineChart({ title: "Learning rate", unit: "", ...one("learning rate", (r) => r.learningRate), ...small }),
    lineChart({ title: "Gradient norm", unit: "before clipping", ...one("norm", (r) => r.gradientNorm), ...small }),
    lineChart({ title: "Speed", unit: "tokens a second", ...one("tokens/s", (r) => r.tokensPerSecond), ...small }),
  ];
}

/** A calmer line through noisy values: the median of those around each, 1 % of the run to either side. */
function movingMedian(points: readonly Point[]): Point[] {
  const reach = Math.min(50, Math.floor(points.length / 100));
  if (reach === 0) return [];
  return points.map(([step], i) => {
    const around = points.slice(Math.max(0, i - reach), i + reach + 1).map(([, y]) => y);
    return [step, median(around)];
  });
}

function median(values: readonly number[]): number {
  const sorted = values.filter(Number.isFinite).sort((a, b) => a - b);
  return sorted[sorted.length >> 1] ?? NaN;
}

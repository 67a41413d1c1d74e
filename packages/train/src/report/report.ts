import { replaceFile } from "../files.ts";
import type { MetricsRecord } from "../metrics.ts";
import type { Evaluation } from "../trainer.ts";
import { lineChart, type Point, type Series } from "./chart.ts";
import { escapeHtml, formatNumber, formatSeconds } from "./format.ts";
import { htmlPage } from "./page.ts";

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
  return htmlPage(title, `<p class="lead">${leadOf(records.at(-1))}</p>
${warning(records)}
<dl>${rows.join("\n")}</dl>
<div class="charts">
${charts(records).join("\n")}
</div>
${samples.length === 0 ? "" : `<h2>Samples</h2>\n${samples.map(sample).join("\n")}`}
<h2>Recipe</h2>
<pre>${escapeHtml(JSON.stringify(recipe, null, 2) ?? "none")}</pre>`);
}

function leadOf(last: MetricsRecord | undefined): string {
  if (last === undefined) return "No step was taken.";
  return `${formatNumber(last.step)} ${last.step === 1 ? "step" : "steps"}, ${formatNumber(last.tokens)} tokens, ${formatSeconds(last.seconds)}`;
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
    { name: "validation", tone: "b", points: withInitial(records, ({ loss }) => loss, (record) => record.validationLoss) },
  ];
  return [
    lineChart({ title: "Loss", unit: metricNames(records).length === 0 ? "nats per token" : "", series, width: 1024, height: 320 }),
    lineChart({ title: "Learning rate", unit: "", ...one("learning rate", (r) => r.learningRate), ...small }),
    lineChart({ title: "Gradient norm", unit: "before clipping", ...one("norm", (r) => r.gradientNorm), ...small }),
    lineChart({ title: "Speed", unit: "tokens a second", ...one("tokens/s", (r) => r.tokensPerSecond), ...small }),
    ...metricNames(records).map((name) => lineChart({
      title: titleOf(name),
      unit: "",
      series: [
        { name: "training", tone: "a", points: points(({ metrics }) => metrics?.[name]) },
        { name: "validation", tone: "b", points: withInitial(records, (of) => of.metrics[name], (record) => (
          record.validationMetrics?.[name]
        )) },
      ],
      ...small,
    })),
  ];
}

/** Names of what else is known of steps and validations. */
function metricNames(records: readonly MetricsRecord[]): string[] {
  const names = records.flatMap(({ metrics = {}, validationMetrics = {} }) => (
    [...Object.keys(metrics), ...Object.keys(validationMetrics)]
  ));
  return [...new Set(names)];
}

/** `chosenReward` as `Chosen reward`. */
function titleOf(name: string): string {
  const words = name.replace(/[A-Z]/g, (letter) => ` ${letter.toLowerCase()}`);
  return words.charAt(0).toUpperCase() + words.slice(1);
}

/** Points of validations, the one before the first step included. */
function withInitial(
  records: readonly MetricsRecord[],
  initial: (validation: Evaluation) => number | undefined,
  later: (record: MetricsRecord) => number | undefined,
): Point[] {
  const before = records[0]?.initialValidation;
  const first = before === undefined ? undefined : initial(before);
  return [
    ...(first === undefined ? [] : [[0, first] as const]),
    ...records.flatMap((record) => {
      const y = later(record);
      return y === undefined ? [] : [[record.step, y] as const];
    }),
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

import { open, type FileHandle } from "node:fs/promises";

import { MetricsError, RunFileError } from "./errors.ts";
import { attempt, readText, replaceFile } from "./files.ts";
import type { Evaluation } from "./trainer.ts";

/** Part of a run with one sequence length, as the recipe declares it. */
export interface Stage {
  /** Tokens of a row. */
  readonly sequenceLength: number;
  /** Micro-batches a step accumulates. */
  readonly microBatches: number;
}

/** What is known of one step: a line of `metrics.jsonl`. */
export interface MetricsRecord {
  /** Steps taken, this one included. */
  readonly step: number;
  /** Tokens put through the model since the start of the run. */
  readonly tokens: number;
  /** Mean loss of the step before its update, in nats per token; NaN and infinities stand as they came. */
  readonly loss: number;
  /** Global norm before clipping. */
  readonly gradientNorm: number;
  readonly learningRate: number;
  /** Median over the last steps, without validation and saving. */
  readonly tokensPerSecond: number;
  /** Seconds the run has worked. */
  readonly seconds: number;
  /** Arithmetic done per second over the machine's peak, from 0 to 1. */
  readonly shareOfPeak?: number;
  /** Most memory the device held, in bytes. */
  readonly peakBytes?: number;
  readonly stage?: Stage;
  /** What else is known of the step, by name: means before its update. */
  readonly metrics?: Readonly<Record<string, number>>;
  /** Mean loss on held-out data after the update, in nats per token. */
  readonly validationLoss?: number;
  /** What else is known of held-out data after the update, by name. */
  readonly validationMetrics?: Readonly<Record<string, number>>;
  /** Held-out data before the first update of the run, with its first step. */
  readonly initialValidation?: Evaluation;
}

const maxMetricsBytes = 2 ** 29;
const required = ["step", "tokens", "loss", "gradientNorm", "learningRate", "tokensPerSecond", "seconds"] as const;
const optional = ["shareOfPeak", "peakBytes", "validationLoss"] as const;
const nonFinite = new Set(["NaN", "Infinity", "-Infinity"]);

/** Appends records to a `metrics.jsonl`, one JSON object a line. */
export class MetricsWriter implements AsyncDisposable {
  readonly path: string;
  readonly #handle: FileHandle;

  private constructor(path: string, handle: FileHandle) {
    this.path = path;
    this.#handle = handle;
  }

  /** Opens a file for the steps after `step`, and drops what a run that was killed later had written beyond it.
   *  @throws MetricsError, RunFileError */
  static async open(path: string, step = 0): Promise<MetricsWriter> {
    const text = await textOf(path);
    const lines = parseLines(text, path).filter(({ record }) => record.step <= step);
    const kept = lines.map(({ line }) => `${line}\n`).join("");
    if (kept !== text) await replaceFile(path, kept);
    return new MetricsWriter(path, await attempt("write", path, () => open(path, "a")));
  }

  /** Adds a line. @throws RunFileError */
  async append(record: MetricsRecord): Promise<void> {
    const line = JSON.stringify(record, (_, value: unknown) => (
      // JSON has no such numbers, and a null would hide which one it was.
      typeof value === "number" && !Number.isFinite(value) ? String(value) : value
    ));
    await attempt("write", this.path, () => this.#handle.appendFile(`${line}\n`));
  }

  /** Makes the lines so far durable. @throws RunFileError */
  async sync(): Promise<void> {
    await attempt("write", this.path, () => this.#handle.sync());
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#handle.close();
  }
}

/** Reads a `metrics.jsonl`; a last line that was torn by a crash is left out. No file is an empty one.
 *  @throws MetricsError for any other line that is not a record  @throws RunFileError */
export async function readMetrics(path: string): Promise<MetricsRecord[]> {
  return parseLines(await textOf(path), path).map(({ record }) => record);
}

async function textOf(path: string): Promise<string> {
  try {
    return await readText(path, maxMetricsBytes);
  } catch (error) {
    if (error instanceof RunFileError && error.data["errno"] === "ENOENT") return "";
    throw error;
  }
}

function parseLines(text: string, path: string): { readonly line: string; readonly record: MetricsRecord }[] {
  const lines = text.split("\n");
  if (lines.at(-1) === "") lines.pop();
  return lines.flatMap((line, i) => {
    const record = parseRecord(line);
    if (record !== null) return [{ line, record }];
    if (i === lines.length - 1) return [];
    const [where, got] = [`${path}:${i + 1}`, JSON.stringify(line.slice(0, 80))];
    throw new MetricsError(`${where}: expected a metrics record, got ${got}; delete the line`, { path, line: i + 1 });
  });
}

function parseRecord(line: string): MetricsRecord | null {
  let parsed: unknown;
  try {
    parsed = JSON.parse(line);
  } catch {
    return null;
  }
  if (typeof parsed !== "object" || parsed === null) return null;
  const given = parsed as Readonly<Record<string, unknown>>;
  const record: Record<string, unknown> = {};
  for (const key of [...required, ...optional]) {
    const number = numberOf(given[key]);
    if (number !== undefined) record[key] = number;
  }
  if (!required.every((key) => key in record)) return null;
  for (const key of ["metrics", "validationMetrics"]) {
    if (given[key] !== undefined) record[key] = numbersOf(given[key]);
  }
  const { loss, metrics } = (given["initialValidation"] ?? {}) as Partial<Record<keyof Evaluation, unknown>>;
  const before = numberOf(loss);
  if (before !== undefined) record["initialValidation"] = { loss: before, metrics: numbersOf(metrics) };
  const { sequenceLength, microBatches } = (given["stage"] ?? {}) as Partial<Record<keyof Stage, unknown>>;
  if (typeof sequenceLength === "number" && typeof microBatches === "number") {
    record["stage"] = { sequenceLength, microBatches };
  }
  return record as unknown as MetricsRecord;
}

function numberOf(value: unknown): number | undefined {
  const number = typeof value === "string" && nonFinite.has(value) ? Number(value) : value;
  return typeof number === "number" ? number : undefined;
}

/** The numbers of an object, by name. */
function numbersOf(value: unknown): Record<string, number> {
  if (typeof value !== "object" || value === null) return {};
  return Object.fromEntries(Object.entries(value).flatMap(([name, entry]) => {
    const number = numberOf(entry);
    return number === undefined ? [] : [[name, number] as const];
  }));
}

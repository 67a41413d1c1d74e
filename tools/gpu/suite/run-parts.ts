import { setMaxListeners } from "node:events";
import { mkdirSync, renameSync, writeFileSync } from "node:fs";
import { availableParallelism } from "node:os";
import { join } from "node:path";

import { table, withCommas } from "../../../apps/danu/src/cli/format.ts";
import { runPart, type Outcome, type Part } from "./part.ts";

/** How a command of the suite is run. */
export interface RunOptions {
  readonly command: string;
  readonly parts: readonly Part[];
  /** Names of groups or parts; all if there are none. */
  readonly asked: readonly string[];
  readonly results: string;
  /** Seconds for all parts together. */
  readonly limit: number;
  readonly machine: MachineFacts;
}

/** What results are of. */
export interface MachineFacts {
  readonly gpu: string;
  /** Newest CUDA version that the driver knows. */
  readonly driver: string;
  /** Sources and compilers of the bundle. */
  readonly bundle: unknown;
}

/** Runs parts, several at a time where no times are measured, and writes COMMAND.json after each, so that what is known
 *  survives whoever ends this process; a signal ends the parts. Prints a line a part, and a table last. @returns the exit code */
export async function runParts({ command, parts, asked, results, limit, machine }: RunOptions): Promise<number> {
  const chosen = choose(parts, asked);
  mkdirSync(results, { recursive: true });
  const date = new Date().toISOString();
  console.log(`${machine.gpu}, driver for CUDA ${machine.driver}`);
  const began = performance.now();
  const outcomes: Outcome[] = [];
  const write = (complete: boolean): void => {
    const path = join(results, `${command}.json`);
    const seconds = (performance.now() - began) / 1000;
    writeFileSync(`${path}.new`, `${JSON.stringify({ command, ...machine, date, seconds, complete, parts: outcomes }, null, 2)}\n`);
    renameSync(`${path}.new`, path);
  };
  write(false);
  const stop = new AbortController();
  // One a part that runs.
  setMaxListeners(workers() + 1, stop.signal);
  const onSignal = (): void => stop.abort();
  const signals = ["SIGINT", "SIGTERM"] as const;
  signals.forEach((signal) => process.once(signal, onSignal));
  const one = async (part: Part): Promise<void> => {
    const left = stop.signal.aborted ? 0 : limit - (performance.now() - began) / 1000;
    const outcome: Outcome = left <= 1
      ? { name: part.name, state: "not run", seconds: 0, exitCode: null, summary: "no time was left" }
      : await runPart(part, results, left, stop.signal);
    outcomes.push(outcome);
    write(false);
    console.log(`${outcome.state.padEnd(11)}  ${outcome.name}  ${outcome.summary}`);
  };
  await inTurns(chosen.filter(({ alone }) => !alone), one, workers());
  await inTurns(chosen.filter(({ alone }) => alone), one, 1);
  signals.forEach((signal) => process.off(signal, onSignal));
  write(true);
  console.log(`\n${resultTable(outcomes, chosen)}`);
  console.log(`\n${join(results, `${command}.json`)}; what each part said is beside it`);
  return outcomes.every(({ state }) => state === "passed") ? 0 : 1;
}

/** Most of the cores: the reference device that results are compared with computes in JavaScript, on one. */
function workers(): number {
  return Math.max(1, Math.min(12, Math.floor(0.75 * availableParallelism())));
}

async function inTurns(parts: readonly Part[], run: (part: Part) => Promise<void>, workers: number): Promise<void> {
  const waiting = [...parts];
  const worker = async (): Promise<void> => {
    for (let part = waiting.shift(); part !== undefined; part = waiting.shift()) await run(part);
  };
  await Promise.all(Array.from({ length: workers }, worker));
}

function choose(parts: readonly Part[], asked: readonly string[]): readonly Part[] {
  const isAsked = ({ name }: Part, word: string): boolean => name === word || name.startsWith(`${word}/`);
  const unknown = asked.find((word) => !parts.some((part) => isAsked(part, word)));
  if (unknown !== undefined) {
    const known = [...new Set(parts.flatMap(({ name }) => [name.split("/")[0]!, name]))];
    throw new Error(`expected parts of ${known.join(", ")}, got "${unknown}"`);
  }
  return asked.length === 0 ? parts : parts.filter((part) => asked.some((word) => isAsked(part, word)));
}

/** In the order of the parts: a line for each that measured nothing or went wrong, and one for each figure. */
function resultTable(outcomes: readonly Outcome[], parts: readonly Part[]): string {
  const ordered = parts.flatMap(({ name }) => outcomes.find((outcome) => outcome.name === name) ?? []);
  const rows = ordered.flatMap(({ name, state, seconds, summary, figures = [] }) => (
    figures.length > 0 && state === "passed"
      ? figures.map((figure, i) => [i === 0 ? name : "", i === 0 ? state : "", i === 0 ? seconds.toFixed(1) : "", figure.name, `${shown(figure.value)} ${figure.unit}`])
      : [[name, state, seconds.toFixed(1), summary, ""]]
  ));
  return table(["part", "", "seconds", "", ""], rows);
}

function shown(value: number): string {
  return Math.abs(value) >= 1000 ? withCommas(value) : String(Number(value.toPrecision(4)));
}

import { interruptOnSignals, readMetrics, type Evaluation, type RunPaths, type RunSummary, type Sample } from "@danu/train";

import { measurePeak, type OpenDevice } from "../cli/device.ts";
import type { Reporter } from "../cli/reporter.ts";
import { inRunFolder } from "./in-run-folder.ts";
import { openRun, type OpenRun } from "./open-run.ts";
import { writeRunReport, type ReportHead } from "./report.ts";
import type { RunParts, RunRecipe } from "./run-parts.ts";
import { trainRun } from "./train-run.ts";

/** What a run is asked to do. */
export interface RunOptions<L> {
  /** What the recipe file and the flags say. */
  readonly layer: L;
  /** Names the recipe in messages. */
  readonly source: string;
  /** The run folder. */
  readonly out: string;
  /** Go on from the newest checkpoint in `out`. */
  readonly resume: boolean;
  readonly device: OpenDevice;
  readonly reporter: Reporter;
}

/** What a run leaves when it comes to its end. */
interface RunOutcome {
  /** Folder of the trained model. */
  readonly model: string;
  /** Folder of the adapter, in PEFT's format; null where none was trained. */
  readonly adapter: string | null;
  readonly sample: Sample | null;
}

/** What a run did. */
export interface RunResult extends RunSummary {
  readonly command: RunRecipe["command"];
  /** Folder of the trained model; null when the run was stopped. */
  readonly model: string | null;
  /** Folder of the trained adapter; null where none was trained, or the run was stopped. */
  readonly adapter: string | null;
  /** The report, an HTML file. */
  readonly report: string;
  readonly sample: Sample | null;
  /** Held-out data before the first step; null where it was not measured. */
  readonly initialValidation: Evaluation | null;
  /** Name of the signal that stopped it; null when it came to its end. */
  readonly interruptedBy: string | null;
}

/** What sets one kind of run apart from the others. */
export interface RunKind<B, P extends RunParts<B>> {
  readonly recipe: RunRecipe;
  /** Head of the report. */
  readonly head: ReportHead;
  /** Paths that `build` may make in the run folder. */
  readonly made: readonly string[];
  /** Reads the data and builds model, trainer and data order. */
  build(paths: RunPaths, signal: AbortSignal): Promise<P>;
  /** Tells what is about to be trained. */
  announce(run: OpenRun<B, P>, peakFlops: number | null): void;
  /** Writes what was trained. */
  finish(paths: RunPaths, parts: P): Promise<RunOutcome>;
}

/** Carries a run out in a folder of its own, from the data to the model folder. One that fails before its first step
 *  leaves nothing behind. @throws InterruptedError, and the errors of its parts */
export async function executeRun<B, P extends RunParts<B>>(
  { out, resume, device, reporter }: Omit<RunOptions<unknown>, "layer" | "source">,
  kind: RunKind<B, P>,
): Promise<RunResult> {
  const { recipe, made } = kind;
  using interrupt = interruptOnSignals();
  const { signal } = interrupt;
  return await inRunFolder(
    { out, resume, recipe, made },
    (paths) => openRun<B, P>({ recipe, paths, resume, reporter, signal }, () => kind.build(paths, signal)),
    (paths, run) => workIn<B, P>({ device, reporter, kind, paths, run }),
  );
}

interface Work<B, P extends RunParts<B>> extends Pick<RunOptions<unknown>, "device" | "reporter"> {
  readonly kind: RunKind<B, P>;
  readonly paths: RunPaths;
  readonly run: OpenRun<B, P>;
}

async function workIn<B, P extends RunParts<B>>({ device, reporter, kind, paths, run }: Work<B, P>): Promise<RunResult> {
  const { recipe } = run;
  const peakFlops = await measurePeak(device, recipe.dtype);
  kind.announce(run, peakFlops);
  const report = (sample: Sample | null): Promise<void> => writeRunReport(paths, kind.head, recipe, sample);
  const options = { run, paths, device, peakFlops, reporter, report: () => report(null) };
  const summary = await trainRun(options).catch(async (error: unknown) => {
    // The curve up to the failure is worth having; what went wrong is worth more than a report that cannot be written.
    await report(null).catch(() => undefined);
    throw error;
  });
  const [first] = await readMetrics(paths.metrics);
  const result = {
    ...summary, command: recipe.command, report: paths.report, initialValidation: first?.initialValidation ?? null,
  };
  if (summary.stopped === "signal") {
    await report(null);
    return { ...result, model: null, adapter: null, sample: null, interruptedBy: String(run.signal.reason) };
  }
  const outcome = await kind.finish(paths, run.parts);
  await report(outcome.sample);
  return { ...result, ...outcome, interruptedBy: null };
}

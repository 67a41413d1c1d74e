import { CheckpointStore, type RunPaths, type RunPosition } from "@danu/train";

import type { Reporter } from "../cli/reporter.ts";
import { safetensorsFiles } from "../model/save-model.ts";
import type { RunParts, RunRecipe } from "./run-parts.ts";
import { asInterrupted } from "./stop-on-signals.ts";

/** A run with everything open that its steps need. */
export interface OpenRun<B, P extends RunParts<B> = RunParts<B>> extends Disposable {
  readonly recipe: RunRecipe;
  readonly parts: P;
  readonly store: CheckpointStore;
  /** Where it goes on; null for a new one. */
  readonly start: RunPosition | null;
  /** Stops it after the step at hand. */
  readonly signal: AbortSignal;
}

/** What a run is opened from. */
export interface OpenRunOptions {
  readonly recipe: RunRecipe;
  readonly paths: RunPaths;
  readonly resume: boolean;
  readonly reporter: Reporter;
  readonly signal: AbortSignal;
}

/** Builds the parts of a run, and with `resume` restores the newest checkpoint.
 *  @throws InterruptedError, CheckpointError, and what `build` throws */
export async function openRun<B, P extends RunParts<B>>(
  { recipe, paths, resume, reporter, signal }: OpenRunOptions,
  build: () => Promise<P>,
): Promise<OpenRun<B, P>> {
  const parts = await build().catch((error: unknown) => { throw asInterrupted(error, signal); });
  const close = (): void => parts[Symbol.dispose]();
  try {
    const { keep } = recipe.checkpoint;
    const store = new CheckpointStore({ folder: paths.checkpoints, tensorFiles: safetensorsFiles, keepLast: keep });
    const start = resume ? await restore(store, parts, reporter) : null;
    return { recipe, parts, store, start, signal, [Symbol.dispose]: close };
  } catch (error) {
    close();
    throw error;
  }
}

async function restore<B>(
  store: CheckpointStore, { trainer, order }: RunParts<B>, reporter: Reporter,
): Promise<RunPosition | null> {
  const restored = await store.restoreNewest(trainer);
  if (restored === null) {
    reporter.note("the run has no checkpoint yet and starts from the beginning");
    return null;
  }
  for (const { message } of restored.damaged) reporter.note(`passed over a damaged checkpoint: ${message}`);
  // Refuses data that is not what the run began with.
  order.stepOf(restored.state.dataPosition);
  return restored.state;
}

import { CheckpointStore, type RunPaths, type RunPosition } from "@danu/train";

import type { OpenDevice } from "../cli/device.ts";
import type { Reporter } from "../cli/reporter.ts";
import { safetensorsFiles } from "../model/save-model.ts";
import type { TokenizerFile } from "../model/tokenizer-file.ts";
import type { Recipe } from "../recipe/recipe.ts";
import { openRunData, type RunData } from "./run-data.ts";
import { buildPretrainParts, type PretrainParts } from "./setup.ts";
import { asInterrupted } from "./stop-on-signals.ts";

/** A run with everything open that its steps need. */
export interface OpenRun extends Disposable {
  readonly recipe: Recipe;
  readonly data: RunData;
  readonly parts: PretrainParts;
  readonly store: CheckpointStore;
  /** Where it goes on; null for a new one. */
  readonly start: RunPosition | null;
  /** Stops it after the step at hand. */
  readonly signal: AbortSignal;
}

/** What a run is opened from. */
export interface OpenRunOptions {
  readonly recipe: Recipe;
  readonly tokenizer: TokenizerFile;
  readonly paths: RunPaths;
  readonly resume: boolean;
  readonly device: OpenDevice;
  readonly reporter: Reporter;
  readonly signal: AbortSignal;
}

/** Prepares data, builds the model, and with `resume` restores the newest checkpoint.
 *  @throws InterruptedError, DataError, CheckpointError, DeviceError */
export async function openRun(options: OpenRunOptions): Promise<OpenRun> {
  const { recipe, tokenizer, paths, reporter, signal } = options;
  const dataOptions = { recipe, tokenizer, folder: paths.folder, reporter, signal };
  const data = await openRunData(dataOptions).catch((error: unknown) => { throw asInterrupted(error, signal); });
  let parts: PretrainParts | null = null;
  const close = (): void => {
    parts?.[Symbol.dispose]();
    data[Symbol.dispose]();
  };
  try {
    parts = buildPretrainParts(options.device.device, recipe, data);
    const { keep } = recipe.checkpoint;
    const store = new CheckpointStore({ folder: paths.checkpoints, tensorFiles: safetensorsFiles, keepLast: keep });
    const start = options.resume ? await restore(store, parts, reporter) : null;
    return { recipe, data, parts, store, start, signal, [Symbol.dispose]: close };
  } catch (error) {
    close();
    throw error;
  }
}

async function restore(store: CheckpointStore, parts: PretrainParts, reporter: Reporter): Promise<RunPosition | null> {
  const { trainer, sampler } = parts;
  const restored = await store.restoreNewest(trainer);
  if (restored === null) {
    reporter.note("the run has no checkpoint yet and starts from the beginning");
    return null;
  }
  for (const { message } of restored.damaged) reporter.note(`passed over a damaged checkpoint: ${message}`);
  const { state } = restored;
  // Refuses data that is not what the run began with.
  sampler.stepOf(state.dataPosition as Parameters<typeof sampler.stepOf>[0]);
  return state;
}

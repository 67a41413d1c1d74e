import { createHash } from "node:crypto";
import { readdir } from "node:fs/promises";
import { join } from "node:path";

import { hashFile, type StepOrder } from "@danu/data";
import {
  adapt, Decoder, initializeLora, loadParameters, mergeLora, openModelFolder, writeAdapter,
  type AdaptedParameters, type DecoderConfig, type DecoderParameters, type LoraConfig, type LoraParameters,
} from "@danu/model";
import { disposeTree, type Device, type DType } from "@danu/tensor";

import { InputError } from "../../cli/errors.ts";
import { saveModel } from "../../model/save-model.ts";
import type { TuningRecipe } from "../../recipe/tuning.ts";
import { computeDtype } from "../fp8-passes.ts";
import type { MemoryPlan } from "../plan-memory.ts";
import type { ExamplesOptions } from "./examples.ts";
import type { TuningSource } from "./source.ts";

/** What the parts of a fine-tuning run are built with. */
export interface TuningPartsOptions extends ExamplesOptions {
  readonly memory: MemoryPlan;
}

/** What fine-tuning updates: all weights, or an adapter. */
export type TunedParameters = DecoderParameters | LoraParameters;

/** A model that is fine-tuned. */
export interface TunedModel extends Disposable {
  readonly decoder: Decoder;
  /** The master weights, f32, for a trainer to take over. */
  readonly params: TunedParameters;
  /** The weights that an adapter is trained beside; null where all weights are trained. */
  readonly frozen: DecoderParameters | null;
  /** Weights of a forward pass.
   *  @param dropoutSeed of a training pass: every pass needs another; null for none */
  weights(params: TunedParameters, dropoutSeed: number | null): AdaptedParameters;
}

/** Loads the model of a recipe to train it, with a fresh adapter if the recipe has one.
 *  @throws FileError, ConfigError, SafetensorsError */
export async function loadTunedModel(
  device: Device, recipe: TuningRecipe, config: DecoderConfig, { recomputedBlocks }: MemoryPlan,
): Promise<TunedModel> {
  const { model, lora, dtype, seed, sequenceLength } = recipe;
  const loaded = await loadWeights(device, model, lora === null ? "f32" : computeDtype(dtype));
  const decoder = new Decoder(device, config, sequenceLength, { recomputedBlocks });
  return await tuneWeights(decoder, loaded, lora, seed);
}

/** Makes a model of weights trainable, all of them or an adapter beside them. It takes over decoder and weights. */
export async function tuneWeights(
  decoder: Decoder, loaded: DecoderParameters, lora: LoraConfig | null, seed: number,
): Promise<TunedModel> {
  if (lora === null) {
    return {
      decoder, params: loaded, frozen: null,
      weights: (params) => params as DecoderParameters,
      [Symbol.dispose]: () => decoder[Symbol.dispose](),
    };
  }
  return {
    decoder,
    params: await initializeLora(decoder.device, decoder.config, lora, loaded, seed),
    frozen: loaded,
    weights: (params, dropoutSeed) => adapt(loaded, params as LoraParameters, lora, dropoutSeed),
    [Symbol.dispose]: () => {
      disposeTree(loaded);
      decoder[Symbol.dispose]();
    },
  };
}

/** Reads the weights of a model folder. The caller owns them. @throws FileError, ConfigError, SafetensorsError */
export async function loadWeights(device: Device, path: string, dtype: DType): Promise<DecoderParameters> {
  await using folder = await openModelFolder(path);
  return await loadParameters(device, folder.weights, folder.config, dtype);
}

/** SHA-256 of the weights of a model folder. @throws DataError when a file cannot be read */
async function weightsHash(path: string): Promise<string> {
  const names = (await readdir(path)).filter((name) => name.endsWith(".safetensors")).sort();
  const hash = createHash("sha256");
  for (const name of names) hash.update(await hashFile(join(path, name)));
  return hash.digest("hex");
}

/** An order of steps that goes on with the model only that it began with.
 *  @param path the model folder  @throws DataError when a file of it cannot be read */
export async function withModel<S extends Readonly<Record<string, number | string>>, O extends StepOrder<S>>(
  order: O, path: string,
): Promise<O> {
  const model = await weightsHash(path);
  return {
    ...order,
    stateAt: (step) => ({ ...order.stateAt(step), model }),
    stepOf: (state) => {
      if (state["model"] === model) return order.stepOf(state);
      throw new InputError(`${path}: expected the weights that the run began with, they were changed; bring them back`);
    },
  };
}

/** Where what was trained is written. */
export interface TunedFolders {
  /** A model folder. */
  readonly model: string;
  /** The adapter in PEFT's format; null where there is none. */
  readonly adapter: string | null;
}

/** Writes what was trained: the adapter, and the model with the adapter merged into it, from the stored weights in f32
 *  so that nothing is rounded twice. */
export async function saveTuned(
  folder: string, device: Device, recipe: TuningRecipe, { config }: TuningSource, params: TunedParameters,
  files: ReadonlyMap<string, Uint8Array | string>,
): Promise<TunedFolders> {
  const model = join(folder, "model");
  const { lora } = recipe;
  if (lora === null) {
    await saveModel(model, config, params as DecoderParameters, files);
    return { model, adapter: null };
  }
  const adapter = join(folder, "adapter");
  await saveAdapter(adapter, recipe, lora, config, params);
  const merged = await loadWeights(device, recipe.model, "f32");
  try {
    mergeLora(merged, params as LoraParameters, lora);
    await saveModel(model, config, merged, files);
  } finally {
    disposeTree(merged);
  }
  return { model, adapter };
}

/** Writes what is trained into the folder of a checkpoint: a model folder, or the adapter alone. */
export async function saveForCheckpoint(
  folder: string, recipe: TuningRecipe, { config }: TuningSource, params: TunedParameters,
  files: ReadonlyMap<string, Uint8Array | string>,
): Promise<void> {
  const { lora } = recipe;
  if (lora === null) await saveModel(folder, config, params as DecoderParameters, files);
  else await saveAdapter(folder, recipe, lora, config, params);
}

async function saveAdapter(
  folder: string, { model }: TuningRecipe, lora: LoraConfig, config: DecoderConfig, params: TunedParameters,
): Promise<void> {
  await writeAdapter(folder, params as LoraParameters, config, lora, model);
}

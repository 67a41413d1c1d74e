import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

import type { TrainingExample } from "@danu/data";
import { adapt, Decoder, openModelFolder, readAdapter, type LoraConfig, type LoraParameters } from "@danu/model";
import { disposeTree, type Device } from "@danu/tensor";

import { loadWeights, type TunedModel } from "../src/run/tuning/tuned-model.ts";

const golden = fileURLToPath(new URL("../../../packages/testing/golden/", import.meta.url));

/** The model that the golden runs start from. */
export const goldenBase: string = join(golden, "decoder/mistral-untied");
/** What TRL made of it. */
export const goldenTuning: string = join(golden, "tuning");

/** A JSON file of the golden runs. */
export async function readGolden<T>(name: string): Promise<T> {
  return JSON.parse(await readFile(join(goldenTuning, name), "utf8")) as T;
}

/** A prompt and what follows it, which alone is trained. */
export function exampleOf(prompt: readonly number[], completion: readonly number[]): TrainingExample {
  const ids = [...prompt, ...completion];
  return { ids: Int32Array.from(ids), trained: Uint8Array.from(ids, (_, i) => (i < prompt.length ? 0 : 1)) };
}

/** The golden base model with an adapter of the golden files, or a model to train whole. */
export async function goldenModel(
  device: Device, adapterFolder: string | null,
): Promise<TunedModel & { readonly lora: LoraConfig | null }> {
  await using folder = await openModelFolder(goldenBase);
  const weights = await loadWeights(device, goldenBase, "f32");
  const decoder = new Decoder(device, folder.config, 64);
  if (adapterFolder === null) {
    return {
      decoder, params: weights, frozen: null, lora: null, weights: (params) => params as typeof weights,
      [Symbol.dispose]: () => decoder[Symbol.dispose](),
    };
  }
  const { lora, adapter } = await readAdapter(device, adapterFolder, folder.config);
  return {
    decoder, params: adapter, frozen: weights, lora,
    weights: (params, seed) => adapt(weights, params as LoraParameters, lora, seed),
    [Symbol.dispose]: () => {
      disposeTree(weights);
      decoder[Symbol.dispose]();
    },
  };
}

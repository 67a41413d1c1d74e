import {
  createPackedSampler, keyOf, packedBatches, type Batch, type PackedSampler, type TrainingChat,
} from "@danu/data";
import { flopsPerToken } from "@danu/model";
import { schedule } from "@danu/optim";
import { scope, type Device } from "@danu/tensor";
import { Trainer } from "@danu/train";

import type { SftRecipe, TuningRecipe } from "../../recipe/tuning.ts";
import { releaseBatches, toDecoderBatch, uploadEach, type DecoderBatch } from "../decoder-batch.ts";
import type { RunParts } from "../run-parts.ts";
import { embeddingNoise } from "./embedding-noise.ts";
import { readChats, type Examples, type ExamplesOptions } from "./examples.ts";
import { loadTunedModel, saveForCheckpoint, withModel, type TunedModel, type TunedParameters } from "./tuned-model.ts";

/** A micro-batch of conversations on a device. */
export interface ChatBatch extends DecoderBatch {
  /** The same on the host. */
  readonly host: Batch;
  /** Of dropout and noise; null outside of training. */
  readonly randomSeed: number | null;
}

/** What supervised fine-tuning works with. */
export interface SftParts extends RunParts<ChatBatch> {
  readonly model: TunedModel;
  readonly trainer: Trainer<TunedParameters, ChatBatch>;
  readonly order: PackedSampler;
  readonly examples: Examples<TrainingChat>;
}

/** Reads the conversations and builds model, trainer and data order. @throws DataError, and the errors of the model */
export async function buildSftParts(
  device: Device, recipe: SftRecipe, options: ExamplesOptions, files: ReadonlyMap<string, Uint8Array | string>,
): Promise<SftParts> {
  const { source } = options;
  const { sequenceLength, tokensPerBatch, microBatchTokens, seed } = recipe;
  const { padId, eosId } = source.tokenizer.tokenizer;
  const examples = await readChats(options);
  const packing = { sequenceLength, padId: padId < 0 ? eosId : padId };
  const order = await withModel(createPackedSampler({
    ...packing, examples: examples.train.map(({ chat }) => chat), rowsPerStep: tokensPerBatch / sequenceLength,
    length: lengthOf(recipe), seed,
  }), recipe.model);
  const learningRate = scheduleOf(recipe, order.steps);
  const model = await loadTunedModel(device, recipe, source.config);
  const trainer = sftTrainer(recipe, model);
  const rowsPerStep = tokensPerBatch / sequenceLength;
  const rows = Math.min(rowsPerStep, Math.max(1, Math.floor(microBatchTokens / sequenceLength)));
  const microBatches = Math.ceil(rowsPerStep / rows);
  const validation = examples.validation.map(({ chat }) => chat);
  return {
    model, trainer, order, examples, learningRate, releaseBatches,
    batchesAt: (step) => uploadEach(microBatches, (i) => {
      const slice = { first: i * rows, count: Math.min(rows, rowsPerStep - i * rows) };
      return uploadChats(device, order.batch(step, slice), keyOf("passes", seed, step, i)[0]!);
    }),
    tokensIn: (batch) => batch.tokens,
    stageAt: () => ({ sequenceLength, microBatches }),
    flopsPerToken: () => flopsPerToken(source.config, sequenceLength) * sharePassed(recipe),
    validate: validation.length === 0 ? null : () => trainer.evaluate(
      heldOut(device, packedBatches(validation, { ...packing, rows })),
    ),
    writeWeights: (folder) => saveForCheckpoint(folder, recipe, source, trainer.params, files),
    [Symbol.dispose]: () => {
      trainer[Symbol.dispose]();
      model[Symbol.dispose]();
    },
  };
}

/** A trainer on conversations. The loss of a step is the mean over the trained tokens of all its micro-batches. */
export function sftTrainer(
  recipe: Pick<SftRecipe, "dtype" | "optimizer" | "maxGradientNorm" | "neftuneAlpha">, model: TunedModel,
): Trainer<TunedParameters, ChatBatch> {
  const { decoder } = model;
  const { device, config: { hiddenSize } } = decoder;
  return new Trainer<TunedParameters, ChatBatch>({
    params: model.params,
    computeDtype: recipe.dtype,
    optimizer: recipe.optimizer,
    maxGradientNorm: recipe.maxGradientNorm,
    tokens: (batch) => batch.trained,
    loss: (params, { input, targets, host, randomSeed: seed }, scale) => scope(() => {
      const noisy = seed === null || recipe.neftuneAlpha === 0
        ? input
        : { ...input, embeddingNoise: embeddingNoise(device, host, { alpha: recipe.neftuneAlpha, hiddenSize, seed }) };
      return decoder.loss(model.weights(params, seed), noisy, targets, scale);
    }),
  });
}

/** Copies packed conversations to a device. @param randomSeed of dropout and noise; null outside of training */
export function uploadChats(device: Device, host: Batch, randomSeed: number | null): ChatBatch {
  return { ...toDecoderBatch(device, host), host, randomSeed };
}

function* heldOut(device: Device, batches: Iterable<Batch>): Generator<ChatBatch, void, undefined> {
  for (const host of batches) {
    const batch = uploadChats(device, host, null);
    try {
      yield batch;
    } finally {
      releaseBatches([batch]);
    }
  }
}

/** How long a recipe trains. */
export function lengthOf({ epochs, steps }: TuningRecipe): { readonly epochs: number } | { readonly steps: number } {
  return steps === null ? { epochs: epochs! } : { steps };
}

/** The learning rate of every step of a recipe. */
export function scheduleOf({ learningRate }: TuningRecipe, steps: number): (step: number) => number {
  return schedule({ warmup: Math.min(100, Math.ceil(steps / 20)), ...learningRate, steps });
}

/** Work of a step over that of training all weights: frozen ones need no gradients, a third of it. */
export function sharePassed({ lora }: TuningRecipe): number {
  return lora === null ? 1 : 2 / 3;
}

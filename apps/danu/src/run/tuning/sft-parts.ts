import {
  createPackedSampler, keyOf, packedBatches, type Batch, type PackedSampler, type TrainingChat,
} from "@danu/data";
import { flopsPerToken } from "@danu/model";
import { scope, type Device } from "@danu/tensor";
import { Trainer } from "@danu/train";

import type { SftRecipe } from "../../recipe/tuning.ts";
import { releaseBatches, toDecoderBatch, uploaded, uploadEach, type DecoderBatch } from "../decoder-batch.ts";
import { computeDtype, createPasses } from "../fp8-passes.ts";
import type { RunParts } from "../run-parts.ts";
import { embeddingNoise } from "./embedding-noise.ts";
import { readChats, type Examples } from "./examples.ts";
import { lengthOf, scheduleOf, shareOfWork } from "./plan.ts";
import { loadTunedModel, saveForCheckpoint, withModel, type TunedModel, type TunedParameters, type TuningPartsOptions } from "./tuned-model.ts";

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
  device: Device, recipe: SftRecipe, options: TuningPartsOptions, files: ReadonlyMap<string, Uint8Array | string>,
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
  const model = await loadTunedModel(device, recipe, source.config, options.memory);
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
    flopsPerToken: () => flopsPerToken(source.config, sequenceLength) * shareOfWork(recipe),
    validate: validation.length === 0 ? null : () => trainer.evaluate(
      uploaded(packedBatches(validation, { ...packing, rows }), (host) => uploadChats(device, host, null)),
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
  recipe: Pick<SftRecipe, "dtype" | "fp8Except" | "optimizer" | "maxGradientNorm" | "neftuneAlpha">, model: TunedModel,
): Trainer<TunedParameters, ChatBatch> {
  const { decoder } = model;
  const { device, config } = decoder;
  const { hiddenSize } = config;
  const passes = createPasses(device, config, recipe);
  const trainer: Trainer<TunedParameters, ChatBatch> = new Trainer<TunedParameters, ChatBatch>({
    ...passes.options,
    params: model.params,
    computeDtype: computeDtype(recipe.dtype),
    optimizer: recipe.optimizer,
    maxGradientNorm: recipe.maxGradientNorm,
    tokens: (batch) => batch.trained,
    loss: (params, { input, targets, host, randomSeed: seed }, scale, training) => scope(() => {
      const noisy = seed === null || recipe.neftuneAlpha === 0
        ? input
        : { ...input, embeddingNoise: embeddingNoise(device, host, { alpha: recipe.neftuneAlpha, hiddenSize, seed }) };
      const weights = passes.weights(model.weights(params, seed), trainer.optimizer.steps, training);
      return decoder.loss(weights, noisy, targets, scale);
    }),
  });
  return trainer;
}

/** Copies packed conversations to a device. @param randomSeed of dropout and noise; null outside of training */
export function uploadChats(device: Device, host: Batch, randomSeed: number | null): ChatBatch {
  return { ...toDecoderBatch(device, host), host, randomSeed };
}

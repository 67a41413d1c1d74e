import { createSampler, sequentialBatches, type Sampler } from "@danu/data";
import { Decoder, flopsPerToken, initialize, type DecoderParameters } from "@danu/model";
import { schedule } from "@danu/optim";
import type { Device } from "@danu/tensor";
import { Trainer, type Evaluation } from "@danu/train";

import { saveModel } from "../model/save-model.ts";
import type { Recipe } from "../recipe/recipe.ts";
import { releaseBatches, toDecoderBatch, uploaded, uploadEach, type DecoderBatch } from "./decoder-batch.ts";
import { computeDtype, createPasses } from "./fp8-passes.ts";
import type { MemoryPlan } from "./plan-memory.ts";
import type { RunData } from "./run-data.ts";
import type { RunParts } from "./run-parts.ts";

/** What a pretraining run works with. */
export interface PretrainParts extends RunParts<DecoderBatch> {
  readonly decoder: Decoder;
  readonly trainer: Trainer<DecoderParameters, DecoderBatch>;
  readonly order: Sampler;
  /** Tokens that are trained on. */
  readonly trainTokens: number;
}

/** Builds model, trainer and data order.
 *  @param data the parts take it over  @param files the tokenizer's, for the model folder in every checkpoint */
export function buildPretrainParts(
  device: Device,
  recipe: Recipe,
  data: RunData,
  files: ReadonlyMap<string, Uint8Array | string>,
  { recomputedBlocks }: MemoryPlan,
): PretrainParts {
  const { model, dtype, seed, tokensPerBatch, documentMask } = recipe;
  const sampler = createSampler({ data: data.train, seed, tokensPerBatch, stages: recipe.stages, documentMask });
  const longest = Math.max(...recipe.stages.map((stage) => stage.sequenceLength));
  const decoder = new Decoder(device, model, longest, { recomputedBlocks });
  const passes = createPasses(device, model, recipe);
  const trainer: Trainer<DecoderParameters, DecoderBatch> = new Trainer<DecoderParameters, DecoderBatch>({
    ...passes.options,
    params: initialize(device, model, seed),
    computeDtype: computeDtype(dtype),
    optimizer: recipe.optimizer,
    maxGradientNorm: recipe.maxGradientNorm,
    loss: (params, batch, scale, training) => {
      const weights = passes.weights(params, trainer.optimizer.steps, training);
      return decoder.loss(weights, batch.input, batch.targets, scale);
    },
    tokens: (batch) => batch.trained,
    alike: () => "",
  });
  const rowsOf = (step: number): number => {
    const { sequences, sequenceLength } = sampler.stageAt(step);
    return Math.min(sequences, Math.max(1, Math.floor(recipe.microBatchTokens / sequenceLength)));
  };
  const microBatches = (step: number): number => Math.ceil(sampler.stageAt(step).sequences / rowsOf(step));
  return {
    decoder,
    trainer,
    order: sampler,
    trainTokens: data.trainTokens,
    learningRate: schedule({ ...recipe.learningRate, steps: sampler.steps }),
    batchesAt: (step) => {
      const [{ sequences }, rows] = [sampler.stageAt(step), rowsOf(step)];
      return uploadEach(microBatches(step), (i) => {
        const first = i * rows;
        return toDecoderBatch(device, sampler.batch(step, { first, count: Math.min(rows, sequences - first) }));
      });
    },
    releaseBatches,
    tokensIn: (batch) => batch.tokens,
    stageAt: (step) => ({ sequenceLength: sampler.stageAt(step).sequenceLength, microBatches: microBatches(step) }),
    flopsPerToken: (step) => flopsPerToken(model, sampler.stageAt(step).sequenceLength),
    validate: validation(trainer, device, recipe, data),
    writeWeights: (folder) => saveModel(folder, model, trainer.params, files),
    [Symbol.dispose]: () => {
      trainer[Symbol.dispose]();
      decoder[Symbol.dispose]();
      data[Symbol.dispose]();
    },
  };
}

function validation(
  trainer: Trainer<DecoderParameters, DecoderBatch>,
  device: Device,
  recipe: Recipe,
  { datasets }: RunData,
): (() => Promise<Evaluation>) | null {
  const streams = datasets.map((dataset) => dataset.validation).filter((stream) => stream.tokens > 1);
  if (streams.length === 0) return null;
  const T = recipe.stages[0]!.sequenceLength;
  const each = recipe.validation.tokens / streams.length;
  return () =>
    trainer.evaluate(
      (function* batches() {
        for (const stream of streams) {
          const sequenceLength = Math.min(T, stream.tokens - 1);
          const batches = sequentialBatches(stream, {
            sequenceLength,
            rows: Math.max(1, Math.floor(recipe.microBatchTokens / sequenceLength)),
            documentMask: recipe.documentMask,
            maxRows: Math.max(1, Math.floor(each / sequenceLength)),
          });
          yield* uploaded(batches, (batch) => toDecoderBatch(device, batch));
        }
      })(),
    );
}

import { createSampler, sequentialBatches, type Sampler } from "@danu/data";
import { Decoder, initialize, type DecoderParameters } from "@danu/model";
import { schedule } from "@danu/optim";
import type { Device } from "@danu/tensor";
import { Trainer } from "@danu/train";

import { releaseBatches, toDecoderBatch, uploaded, type DecoderBatch } from "./decoder-batch.ts";
import type { Recipe } from "../recipe/recipe.ts";
import type { RunData } from "./run-data.ts";

/** What a pretraining run works with, all of it a function of the recipe and the data. */
export interface PretrainParts extends Disposable {
  readonly decoder: Decoder;
  readonly trainer: Trainer<DecoderParameters, DecoderBatch>;
  readonly sampler: Sampler;
  readonly learningRate: (step: number) => number;
  /** Micro-batches of a step, on the device. */
  readonly batchesAt: (step: number) => DecoderBatch[];
  /** Micro-batches a step of this sequence length takes. */
  readonly microBatches: (step: number) => number;
  /** Mean loss on the held-out tokens, in nats per token; null where there are none. */
  readonly validate: (() => Promise<number>) | null;
}

/** Builds model, trainer and data order. */
export function buildPretrainParts(device: Device, recipe: Recipe, data: RunData): PretrainParts {
  const { model, dtype, seed, tokensPerBatch, documentMask } = recipe;
  const sampler = createSampler({ data: data.train, seed, tokensPerBatch, stages: recipe.stages, documentMask });
  const longest = Math.max(...recipe.stages.map((stage) => stage.sequenceLength));
  const decoder = new Decoder(device, model, longest, { recompute: recipe.recompute });
  const trainer = new Trainer<DecoderParameters, DecoderBatch>({
    params: initialize(device, model, seed),
    computeDtype: dtype,
    optimizer: recipe.optimizer,
    maxGradientNorm: recipe.maxGradientNorm,
    loss: (params, batch, scale) => decoder.loss(params, batch.input, batch.targets, scale),
    tokens: (batch) => batch.trained,
  });
  const rowsOf = (step: number): number => {
    const { sequences, sequenceLength } = sampler.stageAt(step);
    return Math.min(sequences, Math.max(1, Math.floor(recipe.microBatchTokens / sequenceLength)));
  };
  const microBatches = (step: number): number => Math.ceil(sampler.stageAt(step).sequences / rowsOf(step));
  return {
    decoder,
    trainer,
    sampler,
    microBatches,
    learningRate: schedule({ ...recipe.learningRate, steps: sampler.steps }),
    batchesAt: (step) => microBatchesAt(device, sampler, step, rowsOf(step)),
    validate: validation(trainer, device, recipe, data),
    [Symbol.dispose]: () => {
      trainer[Symbol.dispose]();
      decoder[Symbol.dispose]();
    },
  };
}

function microBatchesAt(device: Device, sampler: Sampler, step: number, rows: number): DecoderBatch[] {
  const { sequences } = sampler.stageAt(step);
  const batches: DecoderBatch[] = [];
  try {
    for (let first = 0; first < sequences; first += rows) {
      batches.push(toDecoderBatch(device, sampler.batch(step, { first, count: Math.min(rows, sequences - first) })));
    }
  } catch (error) {
    releaseBatches(batches);
    throw error;
  }
  return batches;
}

function validation(
  trainer: Trainer<DecoderParameters, DecoderBatch>,
  device: Device,
  recipe: Recipe,
  { datasets }: RunData,
): (() => Promise<number>) | null {
  const streams = datasets.map((dataset) => dataset.validation).filter((stream) => stream.tokens > 1);
  if (streams.length === 0) return null;
  const T = recipe.stages[0]!.sequenceLength;
  const each = recipe.validation.tokens / streams.length;
  return () =>
    trainer.evaluate(
      (function* batches() {
        for (const stream of streams) {
          const sequenceLength = Math.min(T, stream.tokens - 1);
          yield* uploaded(
            device,
            sequentialBatches(stream, {
              sequenceLength,
              rows: Math.max(1, Math.floor(recipe.microBatchTokens / sequenceLength)),
              documentMask: recipe.documentMask,
              maxRows: Math.max(1, Math.floor(each / sequenceLength)),
            }),
          );
        }
      })(),
    );
}

import { packRows, type TrainingExample } from "@danu/data";
import {
  Decoder, defaultLora, Random, type DecoderConfig, type DecoderParameters,
} from "@danu/model";
import type { Device } from "@danu/tensor";
import { Trainer } from "@danu/train";

import { releaseBatches, toDecoderBatch, type DecoderBatch } from "../run/decoder-batch.ts";
import { computeDtype, createPasses } from "../run/fp8-passes.ts";
import { dpoTrainer } from "../run/tuning/dpo-parts.ts";
import { answerLogProbabilities, uploadPairs } from "../run/tuning/pair-batch.ts";
import { sftTrainer, uploadChats } from "../run/tuning/sft-parts.ts";
import { tuneWeights } from "../run/tuning/tuned-model.ts";
import type { BenchDType } from "./machine.ts";
import { benchWeights } from "./weights.ts";

export const taskNames = ["pretrain", "sft", "dpo"] as const;
export type TaskName = (typeof taskNames)[number];

/** Steps of one kind of training, always on the same tokens. */
export interface StepTask extends Disposable {
  /** Takes an optimizer step, the upload of its batch included; everything is enqueued when it returns. */
  step(): Promise<{ readonly loss: number }>;
  /** Tokens that a step computes. */
  readonly tokens: number;
}

/** What a task is made for. */
export interface TaskOptions {
  readonly task: TaskName;
  readonly config: DecoderConfig;
  readonly dtype: BenchDType;
  readonly batch: number;
  readonly sequenceLength: number;
  /** Blocks whose activations are computed again in the backward pass. */
  readonly recomputedBlocks: number;
}

const settings = {
  optimizer: { beta1: 0.9, beta2: 0.95, eps: 1e-8, weightDecay: 0.1 }, maxGradientNorm: 1, neftuneAlpha: 0, fp8Except: [],
};

/** Prepares steps of B rows of T random tokens: pretraining on whole rows; fine-tuning of all weights on conversations
 *  packed into such rows; preference tuning of an adapter on as many tokens of pairs, with the reference beside it. */
export async function openTask(device: Device, options: TaskOptions): Promise<StepTask> {
  const { config, sequenceLength: T, recomputedBlocks } = options;
  const decoder = new Decoder(device, config, T, { recomputedBlocks });
  switch (options.task) {
    case "pretrain": return pretrainTask(decoder, options);
    case "sft": return await sftTask(decoder, options);
    case "dpo": return await dpoTask(decoder, options);
  }
}

function pretrainTask(decoder: Decoder, { dtype, batch: B, sequenceLength: T }: TaskOptions): StepTask {
  const { device, config } = decoder;
  const random = new Random(1);
  const row = packRows(
    Array.from({ length: B }, () => [randomExample(random, T, T, config)]), T, 0,
  );
  const passes = createPasses(device, config, { dtype, fp8Except: [] });
  const trainer: Trainer<DecoderParameters, DecoderBatch> = new Trainer({
    ...passes.options,
    params: benchWeights(device, config),
    computeDtype: computeDtype(dtype),
    tokens: (batch: DecoderBatch) => batch.trained,
    alike: () => "",
    loss: (params, { input: { ids, positions }, targets }, scale, training) => {
      const weights = passes.weights(params, trainer.optimizer.steps, training);
      return decoder.loss(weights, { ids, positions, documentStart: null }, targets, scale);
    },
  });
  return taskOf(B * T, trainer, () => toDecoderBatch(device, row), decoder);
}

async function sftTask(decoder: Decoder, { dtype, batch: B, sequenceLength: T }: TaskOptions): Promise<StepTask> {
  const { device, config } = decoder;
  const random = new Random(1);
  const rows = packRows(Array.from({ length: B }, () => conversations(random, T, config)), T, 0);
  const model = await tuneWeights(decoder, benchWeights(device, config), null, 1);
  const trainer = sftTrainer({ dtype, ...settings }, model);
  return taskOf(B * T, trainer, () => uploadChats(device, rows, null), model);
}

async function dpoTask(decoder: Decoder, { dtype, batch: B, sequenceLength: T }: TaskOptions): Promise<StepTask> {
  const { device, config } = decoder;
  const random = new Random(1);
  const length = Math.min(T, 128);
  const pairs = Array.from({ length: Math.max(1, Math.floor((B * T) / (2 * length))) }, () => ({
    chosen: randomExample(random, length, length >> 1, config), rejected: randomExample(random, length, length >> 1, config),
  }));
  const model = await tuneWeights(decoder, benchWeights(device, config, computeDtype(dtype)), defaultLora, 1);
  const recipe = { dtype: computeDtype(dtype), ...settings, losses: [{ loss: "sigmoid" as const, beta: 0.2 }] };
  const trainer = dpoTrainer(recipe, model, (batch) => answerLogProbabilities(decoder, model.frozen!, batch));
  const indices = pairs.map((_, i) => i);
  const upload = () => uploadPairs(device, { examples: pairs, mismatched: false, maxLength: T }, indices);
  return taskOf(pairs.length * 2 * length, trainer, upload, model);
}

function taskOf<P, B extends Parameters<typeof releaseBatches>[0][number]>(
  tokens: number, trainer: Trainer<P, B>, upload: () => B, model: Disposable,
): StepTask {
  return {
    tokens,
    step: async () => {
      const batch = upload();
      try {
        return await trainer.step([batch], 1e-4);
      } finally {
        releaseBatches([batch]);
      }
    },
    [Symbol.dispose]: () => {
      trainer[Symbol.dispose]();
      model[Symbol.dispose]();
    },
  };
}

/** Conversations of 16 to 200 tokens that fill a row, their second halves trained. */
function conversations(random: Random, T: number, config: DecoderConfig): TrainingExample[] {
  const examples: TrainingExample[] = [];
  for (let left = T; left > 0;) {
    const length = Math.min(left, 16 + (random.bits() % 185));
    examples.push(randomExample(random, length, length >> 1, config));
    left -= length;
  }
  return examples;
}

function randomExample(random: Random, length: number, trained: number, { vocabularySize }: DecoderConfig): TrainingExample {
  return {
    ids: Int32Array.from({ length }, () => random.bits() % vocabularySize),
    trained: Uint8Array.from({ length }, (_, t) => (t >= length - trained ? 1 : 0)),
  };
}

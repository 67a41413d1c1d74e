import { loraTargets } from "@danu/model";
import { z } from "zod";

import { checkAgainst } from "./check-recipe.ts";
import type { RecipeLayer } from "./recipe.ts";
import { pairLosses, type DpoLayer, type SftLayer } from "./tuning.ts";

const count = z.int().min(1);
const seed = z.int().min(0);
const share = z.number().min(0).lt(1);
const rate = z.number().min(0);
const text = z.string().min(1);

const model = z
  .strictObject({
    preset: text,
    hiddenSize: count,
    intermediateSize: count,
    layers: count,
    heads: count,
    keyValueHeads: count,
    headDim: count,
    vocabularySize: count,
    maxPositions: count,
    slidingWindow: count.nullable(),
    ropeTheta: z.number(),
    rmsNormEps: z.number(),
    tieEmbeddings: z.boolean(),
    initializerRange: z.number(),
    bosId: seed.nullable(),
    eosId: seed.nullable(),
    padId: seed.nullable(),
    dtype: z.enum(["f32", "bf16", "f16"]),
  })
  .partial();

const learningRate = z
  .strictObject({
    kind: z.enum(["cosine", "linear", "constant", "warmup-stable-decay"]),
    peak: rate,
    floor: rate,
    warmup: seed,
    decay: seed,
  })
  .partial();

/** Element type of the passes where all weights are trained, and the layers that are not in fp8 then. */
const fp8 = { dtype: z.enum(["f32", "bf16", "fp8"]), fp8Except: z.array(text) };

/** Fields that every recipe has. */
const common = {
  dtype: z.enum(["f32", "bf16"]),
  sequenceLength: count,
  microBatchTokens: count,
  learningRate,
  optimizer: z.strictObject({ beta1: share, beta2: share, eps: z.number().positive(), weightDecay: rate }).partial(),
  maxGradientNorm: z.number().positive(),
  seed,
  checkpoint: z.strictObject({ every: count, keep: count }).partial(),
  recompute: z.boolean(),
};

const recipe = z
  .strictObject({
    ...common,
    ...fp8,
    command: z.literal("pretrain"),
    model,
    tokenizer: text,
    data: z.array(z.strictObject({ paths: z.array(text).min(1), weight: z.number().positive().optional() })).min(1),
    tokensPerBatch: count,
    steps: count,
    stages: z.array(z.strictObject({ tokens: count, sequenceLength: count })).min(1),
    documentMask: z.boolean(),
    validation: z.strictObject({ every: count, tokens: count, fraction: share }).partial(),
    sample: z.strictObject({ prompt: z.string(), maxTokens: count, temperature: rate }).partial(),
  })
  .partial();

/** Fields of the recipes of fine-tuning. */
const tuning = {
  ...common,
  model: text,
  tokenizer: text,
  chatTemplate: text.nullable(),
  data: z
    .strictObject({
      paths: z.array(text).min(1),
      format: text.nullable(),
      languages: z.array(text).min(1).nullable(),
      systemMessages: z.enum(["keep", "drop", "prepend"]),
      badRows: z.enum(["error", "skip"]),
    })
    .partial(),
  epochs: z.number().positive().nullable(),
  steps: count.nullable(),
  lora: z
    .strictObject({
      rank: count,
      alpha: z.number().positive(),
      dropout: share,
      targets: z.array(z.enum(loraTargets)).min(1),
      rankStabilized: z.boolean(),
      dora: z.boolean(),
    })
    .partial()
    .nullable(),
  validation: z
    .strictObject({ every: count, fraction: share, paths: z.array(text), examples: count })
    .partial(),
};

const sftRecipe = z
  .strictObject({ ...tuning, ...fp8, command: z.literal("sft"), tokensPerBatch: count, neftuneAlpha: rate })
  .partial();

const lossTerm = z.strictObject({
  loss: z.enum(pairLosses),
  weight: z.number().optional(),
  ...z
    .strictObject({
      beta: z.number(),
      referenceFree: z.boolean(),
      divergence: text,
      divergenceAlpha: z.number(),
      labelSmoothing: z.number(),
      temperature: z.number(),
      margin: z.number(),
      supervisedWeight: z.number(),
      desirableWeight: z.number(),
      undesirableWeight: z.number(),
    })
    .partial().shape,
});

const dpoRecipe = z
  .strictObject({
    ...tuning,
    command: z.literal("dpo"),
    pairsPerBatch: count,
    losses: z.array(lossTerm).min(1),
    reference: z.strictObject({ model: text.nullable(), precompute: z.boolean() }).partial(),
  })
  .partial();

/** Checks that a value is a pretraining recipe, whole or in part.
 *  @param source the file's name for messages
 *  @throws InputError naming the field, what was expected and what came */
export function checkRecipe(value: unknown, source: string): RecipeLayer {
  return checkAgainst(recipe, value, source) as RecipeLayer;
}

/** Checks that a value is a recipe of supervised fine-tuning, whole or in part. @throws InputError */
export function checkSftRecipe(value: unknown, source: string): SftLayer {
  return checkAgainst(sftRecipe, value, source) as SftLayer;
}

/** Checks that a value is a recipe of preference tuning, whole or in part. @throws InputError */
export function checkDpoRecipe(value: unknown, source: string): DpoLayer {
  return checkAgainst(dpoRecipe, value, source) as DpoLayer;
}

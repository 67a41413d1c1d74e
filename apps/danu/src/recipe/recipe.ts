import { parameterCount, preset, presetNames, validateConfig, type DecoderConfig } from "@danu/model";
import { schedule, type ScheduleOptions } from "@danu/optim";
import { planStages, type SequenceStage } from "@danu/data";
import type { Tokenizer } from "@danu/tokenizer";

import { InputError } from "../cli/errors.ts";
import { suggestion } from "../cli/flags.ts";
import { specialIds } from "../model/tokenizer-file.ts";
import { dropUndefined, required, requireSameFields, type Layer } from "./layers.ts";

/** Text or prepared data of a run. */
export interface DataSource {
  /** A prepared dataset, or text files and folders of them. */
  readonly paths: readonly string[];
  /** Share of the samples, relative to the other sources; by default its share of the tokens. */
  readonly weight?: number;
}

/** Element type of the passes. `fp8`: the products of the linear layers in 8 bits, all else in bf16. */
export type PassDType = "f32" | "bf16" | "fp8";

/** Everything that decides what a pretraining run computes. */
export interface Recipe {
  readonly command: "pretrain";
  readonly model: DecoderConfig & { readonly preset: string };
  /** Element type of the forward and backward pass; master weights and optimizer are f32. */
  readonly dtype: PassDType;
  /** With fp8: layers that stay in bf16, as `0`, `down` or `0.down`. */
  readonly fp8Except: readonly string[];
  /** A SentencePiece `tokenizer.model`, or a folder that holds one. */
  readonly tokenizer: string;
  readonly data: readonly DataSource[];
  /** Tokens of an optimizer step, the same in every stage. */
  readonly tokensPerBatch: number;
  /** The sequence-length schedule. */
  readonly stages: readonly SequenceStage[];
  /** Tokens that go through the model at once, which decides the memory of the activations; at least one row. */
  readonly microBatchTokens: number;
  readonly learningRate: Required<Omit<ScheduleOptions, "steps">>;
  readonly optimizer: {
    readonly beta1: number;
    readonly beta2: number;
    readonly eps: number;
    readonly weightDecay: number;
  };
  readonly maxGradientNorm: number;
  readonly seed: number;
  /** Keeps the documents of a row apart. */
  readonly documentMask: boolean;
  readonly validation: {
    /** Steps between two validations. */
    readonly every: number;
    /** Most tokens of one validation. */
    readonly tokens: number;
    /** Share of the documents held out when text is prepared. */
    readonly fraction: number;
  };
  readonly checkpoint: { readonly every: number; readonly keep: number };
  /** Computes activations again in the backward pass, to save memory. */
  readonly recompute: boolean;
  /** Text written at the end to show what the model has learned. */
  readonly sample: { readonly prompt: string; readonly maxTokens: number; readonly temperature: number };
}

/** Part of a recipe: what a file or the flags say, laid over the defaults. */
export type RecipeLayer = Layer<Recipe> & {
  /** Steps of the whole run; with `sequenceLength`, or alone, in place of `stages`. */
  readonly steps?: number;
  readonly sequenceLength?: number;
};

/** What a recipe is completed with. */
export interface RecipeContext {
  readonly tokenizer: Tokenizer;
  /** Element type that is fastest on the device. */
  readonly dtype: "f32" | "bf16";
  /** Names the recipe in messages. */
  readonly source: string;
}

/** Fills in what a recipe leaves open and checks that its parts fit together.
 *  @throws InputError, ConfigError, DataError, DanuError naming the field */
export function completeRecipe(layer: RecipeLayer, { tokenizer, dtype, source }: RecipeContext): Recipe {
  const { tokensPerBatch = 8192, microBatchTokens = 2048 } = layer;
  const presetName = layer.model?.preset ?? "nano";
  const standard = presetOf(presetName, source);
  const stages = stagesOf(layer, tokensPerBatch, standard.maxPositions);
  const steps = stepsIn(stages, tokensPerBatch);
  const model = { preset: presetName, ...modelOf(layer, standard, stages, tokenizer, source) };
  const peak = layer.learningRate?.peak ?? standardLearningRate(model);
  const learningRate = {
    kind: "cosine",
    peak,
    floor: peak / 10,
    warmup: Math.min(2000, Math.ceil(steps / 20)),
    decay: 0,
    ...layer.learningRate,
  } as const;
  schedule({ ...learningRate, steps });
  return {
    command: "pretrain",
    model,
    dtype: layer.dtype ?? dtype,
    fp8Except: layer.fp8Except ?? [],
    tokenizer: requireTokenizer(layer, source),
    data: checkWeights(required(layer.data, "data", "--data", source), source),
    tokensPerBatch,
    stages,
    microBatchTokens,
    learningRate,
    optimizer: { beta1: 0.9, beta2: 0.95, eps: 1e-8, weightDecay: 0.1, ...layer.optimizer },
    maxGradientNorm: layer.maxGradientNorm ?? 1,
    seed: layer.seed ?? 1,
    documentMask: layer.documentMask ?? true,
    validation: { every: 100, tokens: 32_768, fraction: 0.01, ...layer.validation },
    checkpoint: { every: 500, keep: 2, ...layer.checkpoint },
    recompute: layer.recompute ?? false,
    sample: { prompt: "Once upon a time", maxTokens: 200, temperature: 0.8, ...layer.sample },
  };
}

/** Refuses to go on with a run under another recipe than the one it has.
 *  @param asked what the user gives now  @param stored the resolved recipe of the run
 *  @throws InputError naming the first field that differs */
export function requireSameRecipe(asked: RecipeLayer, stored: RecipeLayer): void {
  const { steps, sequenceLength, ...rest } = asked;
  const short =
    steps === undefined && sequenceLength === undefined
      ? {}
      : {
          stages: stagesOf({ ...stored, ...dropUndefined({ steps, sequenceLength }) }, stored.tokensPerBatch ?? 1, 1),
        };
  requireSameFields({ ...short, ...rest }, stored);
}

/** Path of the tokenizer that a recipe names. @throws InputError when it names none */
export function requireTokenizer(layer: RecipeLayer, source: string): string {
  return required(layer.tokenizer, "tokenizer", "--tokenizer", source);
}

function presetOf(name: string, source: string): DecoderConfig {
  if ((presetNames as readonly string[]).includes(name)) return preset(name);
  throw new InputError(
    `${source}: model.preset: expected one of ${presetNames.join(", ")}, got "${name}"${suggestion(name, presetNames)}`,
  );
}

function stagesOf(
  { stages, steps, sequenceLength }: RecipeLayer,
  tokensPerBatch: number,
  standardLength: number,
): readonly SequenceStage[] {
  if (stages !== undefined && steps === undefined && sequenceLength === undefined) return stages;
  const planned = stages === undefined ? 1000 : stepsIn(stages, tokensPerBatch);
  return [
    {
      tokens: (steps ?? planned) * tokensPerBatch,
      sequenceLength: sequenceLength ?? stages?.[0]!.sequenceLength ?? standardLength,
    },
  ];
}

function stepsIn(stages: readonly SequenceStage[], tokensPerBatch: number): number {
  return planStages(stages, tokensPerBatch).reduce((sum, stage) => sum + stage.steps, 0);
}

function modelOf(
  layer: RecipeLayer,
  standard: DecoderConfig,
  stages: readonly SequenceStage[],
  tokenizer: Tokenizer,
  source: string,
): DecoderConfig {
  const longest = Math.max(...stages.map((stage) => stage.sequenceLength));
  const { preset: _, ...changes } = layer.model ?? {};
  const config = validateConfig({
    ...standard,
    ...specialIds(tokenizer),
    vocabularySize: tokenizer.vocabularySize,
    maxPositions: Math.max(standard.maxPositions, longest),
    ...changes,
  });
  if (config.vocabularySize < tokenizer.vocabularySize) {
    const { vocabularySize } = tokenizer;
    const message = `expected at least the ${vocabularySize} pieces of the tokenizer, got ${config.vocabularySize}`;
    throw new InputError(`${source}: model.vocabularySize: ${message}`);
  }
  if (config.maxPositions < longest) {
    const message = `expected at least the longest sequence length, ${longest}, got ${config.maxPositions}`;
    throw new InputError(`${source}: model.maxPositions: ${message}`);
  }
  return config;
}

/** A learning rate that falls as the square root of the parameters grows, from 1e-3 to 2e-4 for 1.8 B, as Danube's. */
function standardLearningRate(model: DecoderConfig): number {
  const rate = 2e-4 * Math.sqrt(1.83e9 / parameterCount(model));
  return Number(Math.min(1e-3, rate).toPrecision(2));
}

function checkWeights(data: readonly DataSource[], source: string): readonly DataSource[] {
  const weighted = data.filter(({ weight }) => weight !== undefined).length;
  if (weighted === 0 || weighted === data.length) return data;
  throw new InputError(
    `${source}: data: expected a weight for every source or for none, got ${weighted} for ${data.length}`,
  );
}

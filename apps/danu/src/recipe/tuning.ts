import type { SystemMessages } from "@danu/data";
import { preferenceLosses, preferenceObjective, type LossName, type LossTerm } from "@danu/dpo";
import { defaultLora, parameterCount, type DecoderConfig, type LoraConfig } from "@danu/model";
import type { ScheduleOptions } from "@danu/optim";

import { InputError } from "../cli/errors.ts";
import { required, type Layer } from "./layers.ts";
import type { PassDType } from "./recipe.ts";

/** Conversations or pairs of a run, and how they are read. */
interface TuningData {
  /** Files, folders, and data sets of the hub as `hf:owner/name`. */
  readonly paths: readonly string[];
  /** Format of every row; null to recognise each file's. */
  readonly format: string | null;
  /** Languages to take of Open Assistant trees; null for all. */
  readonly languages: readonly string[] | null;
  readonly systemMessages: SystemMessages;
  /** Stops at a malformed row, or passes over it and keeps it in a quarantine file. */
  readonly badRows: "error" | "skip";
}

/** What the recipes of fine-tuning have in common. */
export interface TuningRecipe {
  /** Folder of the model to start from. */
  readonly model: string;
  /** A tokenizer, or a folder with one; the model's folder by default. */
  readonly tokenizer: string;
  /** A chat template in Jinja; null for that of the tokenizer, or Danube's where it has none. */
  readonly chatTemplate: string | null;
  readonly data: TuningData;
  /** Passes over the examples; null when `steps` counts. */
  readonly epochs: number | null;
  /** Optimizer steps; null when `epochs` counts. */
  readonly steps: number | null;
  /** Most tokens of an example. */
  readonly sequenceLength: number;
  /** Tokens that go through the model at once, which decides the memory of the activations. */
  readonly microBatchTokens: number;
  /** Element type of the forward and backward pass; master weights and optimizer are f32. */
  readonly dtype: PassDType;
  /** Without `warmup`, a twentieth of the steps, at most 100. */
  readonly learningRate: Required<Omit<ScheduleOptions, "steps" | "warmup">> & { readonly warmup?: number };
  readonly optimizer: {
    readonly beta1: number;
    readonly beta2: number;
    readonly eps: number;
    readonly weightDecay: number;
  };
  readonly maxGradientNorm: number;
  readonly seed: number;
  /** The adapter that is trained; null to train all weights. */
  readonly lora: LoraConfig | null;
  readonly validation: {
    /** Steps between two validations. */
    readonly every: number;
    /** Share of the examples held out, until there are enough; where no paths are given. */
    readonly fraction: number;
    /** Held-out examples of their own. */
    readonly paths: readonly string[];
    /** Most examples that are held out. */
    readonly examples: number;
  };
  readonly checkpoint: { readonly every: number; readonly keep: number };
  /** Computes activations again in the backward pass, to save memory. */
  readonly recompute: boolean;
}

/** Everything that decides what supervised fine-tuning computes. */
export interface SftRecipe extends TuningRecipe {
  readonly command: "sft";
  /** Tokens of an optimizer step, padding included: whole rows of `sequenceLength`. */
  readonly tokensPerBatch: number;
  /** Scale of the noise on the embeddings; 0 for none. Jain et al. 2023, NEFTune. */
  readonly neftuneAlpha: number;
  /** With fp8: layers that stay in bf16, as `0`, `down` or `0.down`. */
  readonly fp8Except: readonly string[];
}

/** Everything that decides what preference tuning computes. */
export interface DpoRecipe extends TuningRecipe {
  readonly command: "dpo";
  readonly dtype: "f32" | "bf16";
  /** Pairs of an optimizer step. */
  readonly pairsPerBatch: number;
  /** The weighted sum of these is minimised. Those that look at pairs together (`aot`, `kto`, and the supervised part of
   *  `sft`, `orpo` and `cpo`) see a micro-batch at a time. */
  readonly losses: readonly LossTerm[];
  readonly reference: {
    /** Folder of a frozen second model; null for the model itself as it was at the start. */
    readonly model: string | null;
    /** Computes the reference's log-probabilities once, before the first step, and keeps them on disk. */
    readonly precompute: boolean;
  };
}

/** Part of a recipe of supervised fine-tuning. */
export type SftLayer = Layer<SftRecipe>;
/** Part of a recipe of preference tuning. */
export type DpoLayer = Layer<DpoRecipe>;
/** Part of a recipe of fine-tuning. */
export type TuningLayer = Layer<TuningRecipe>;

/** Losses that pairs can be trained with. */
export const pairLosses: readonly LossName[] = Object.keys(preferenceLosses) as LossName[];

/** What a recipe is completed with. */
export interface TuningContext {
  readonly config: DecoderConfig;
  /** Element type that is fastest on the device. */
  readonly dtype: "f32" | "bf16";
  /** What becomes of system messages where the recipe says nothing. */
  readonly systemMessages: SystemMessages;
  /** Names the recipe in messages. */
  readonly source: string;
}

/** Fills in what a recipe leaves open and checks that its parts fit together. @throws InputError naming the field */
export function completeSft(layer: SftLayer, context: TuningContext): SftRecipe {
  const tuning = completeTuning(layer, { ...context, lora: null, fullRate: 1e-5, epochs: 1 });
  const { sequenceLength } = tuning;
  if (tuning.dtype === "fp8" && tuning.lora !== null) {
    throw new InputError(
      `${context.source}: dtype: expected f32 or bf16, since an adapter is trained, got "fp8", which trains all weights; ` +
        "give --dtype bf16, or train no adapter",
    );
  }
  const tokensPerBatch = layer.tokensPerBatch ?? 8 * sequenceLength;
  if (tokensPerBatch % sequenceLength !== 0) {
    const message = `expected a multiple of sequenceLength, ${sequenceLength}, got ${tokensPerBatch}`;
    throw new InputError(`${context.source}: tokensPerBatch: ${message}`);
  }
  return { command: "sft", ...tuning, tokensPerBatch, neftuneAlpha: layer.neftuneAlpha ?? 0, fp8Except: layer.fp8Except ?? [] };
}

/** Fills in what a recipe leaves open and checks that its parts fit together.
 *  @throws InputError naming the field, PreferenceError */
export function completeDpo(layer: DpoLayer, context: TuningContext): DpoRecipe {
  const { source } = context;
  const tuning = completeTuning(layer, { ...context, lora: defaultLora, fullRate: 1e-6, epochs: 1 });
  const losses = (layer.losses ?? [{ loss: "sigmoid" }]).map((term) => (
    { ...("beta" in preferenceLosses[term.loss].parameters && isDefaultBeta(term) ? { beta: 0.2 } : {}), ...term }
  ));
  const { needs } = preferenceObjective(losses);
  const reference = { model: null, precompute: false, ...layer.reference };
  if (needs.reference && tuning.lora === null && reference.model === null && !reference.precompute) {
    throw new InputError(
      `${source}: reference: expected reference.model or reference.precompute, since full fine-tuning changes the ` +
        "weights that the loss compares with; give --reference DIR or --precompute-reference, or train an adapter",
    );
  }
  const dtype = layer.dtype ?? context.dtype;
  return { command: "dpo", ...tuning, dtype, pairsPerBatch: layer.pairsPerBatch ?? 16, losses, reference };
}

/** Danube's β is that of its loss; others keep their papers' defaults. */
function isDefaultBeta({ loss, beta }: LossTerm): boolean {
  return loss === "sigmoid" && beta === undefined;
}

interface TuningDefaults extends TuningContext {
  readonly lora: LoraConfig | null;
  /** Learning rate of full fine-tuning of 1.8 B parameters. */
  readonly fullRate: number;
  readonly epochs: number;
}

function completeTuning(layer: TuningLayer, defaults: TuningDefaults): TuningRecipe {
  const { config, source } = defaults;
  const model = required(layer.model, "model", "--model", source);
  const lora = loraOf(layer.lora, defaults.lora);
  const sequenceLength = layer.sequenceLength ?? Math.min(config.maxPositions, 2048);
  if (sequenceLength > config.maxPositions) {
    const message = `expected at most the model's ${config.maxPositions} positions, got ${sequenceLength}`;
    throw new InputError(`${source}: sequenceLength: ${message}`);
  }
  const peak = layer.learningRate?.peak ?? standardRate(config, lora === null ? defaults.fullRate : 10 * defaults.fullRate);
  return {
    model,
    tokenizer: layer.tokenizer ?? model,
    chatTemplate: layer.chatTemplate ?? null,
    data: {
      format: null,
      languages: null,
      systemMessages: defaults.systemMessages,
      badRows: "error",
      ...layer.data,
      paths: required(layer.data?.paths, "data.paths", "--data", source),
    },
    ...lengthOf(layer, defaults.epochs, source),
    sequenceLength,
    microBatchTokens: layer.microBatchTokens ?? 2048,
    dtype: layer.dtype ?? defaults.dtype,
    learningRate: { kind: "cosine", peak, floor: peak / 10, decay: 0, ...layer.learningRate },
    optimizer: { beta1: 0.9, beta2: 0.999, eps: 1e-8, weightDecay: 0, ...layer.optimizer },
    maxGradientNorm: layer.maxGradientNorm ?? 1,
    seed: layer.seed ?? 1,
    lora,
    validation: { every: 100, fraction: 0.05, paths: [], examples: 256, ...layer.validation },
    checkpoint: { every: 500, keep: 2, ...layer.checkpoint },
    recompute: layer.recompute ?? false,
  };
}

function loraOf(given: TuningLayer["lora"], standard: LoraConfig | null): LoraConfig | null {
  if (given === undefined) return standard;
  return given === null ? null : { ...defaultLora, ...given };
}

function lengthOf(
  { epochs = null, steps = null }: TuningLayer, standard: number, source: string,
): Pick<TuningRecipe, "epochs" | "steps"> {
  if (epochs !== null && steps !== null) {
    throw new InputError(`${source}: expected epochs or steps, got both; leave one out`);
  }
  return { epochs: steps === null ? (epochs ?? standard) : null, steps };
}

/** A learning rate that falls as the square root of the parameters grows, from that of 1.8 B. */
function standardRate(config: DecoderConfig, rate: number): number {
  return Number(Math.min(1e-3, rate * Math.sqrt(1.83e9 / parameterCount(config))).toPrecision(2));
}

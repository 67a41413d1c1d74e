import { ConfigError, validateConfig } from "./config.ts";
import type { DecoderConfig } from "./config.ts";

/** Name of a preset. */
export type PresetName =
  | "nano" | "small" | "medium" | "danube-1.8b" | "danube2-1.8b" | "danube3-500m" | "danube3-4b";

const base = {
  slidingWindow: null,
  ropeTheta: 10_000,
  rmsNormEps: 1e-5,
  tieEmbeddings: false,
  initializerRange: 0.02,
  bosId: 1,
  eosId: 2,
  padId: null,
  dtype: "f32",
} as const;

const danube = {
  ...base,
  hiddenSize: 2560,
  intermediateSize: 6912,
  layers: 24,
  heads: 32,
  keyValueHeads: 8,
  headDim: 80,
  vocabularySize: 32_000,
  dtype: "bf16",
} as const;

const danube3 = {
  ...base,
  keyValueHeads: 8,
  vocabularySize: 32_000,
  maxPositions: 8192,
  ropeTheta: 100_000,
  padId: 0,
  dtype: "bf16",
} as const;

/** Configurations by name: three to train on a laptop, and the H2O-Danube models (arXiv 2401.16818 and 2407.09276). */
export const presets: Readonly<Record<PresetName, DecoderConfig>> = {
  /** 6.25 M parameters: a minute on a laptop shows it learn. */
  nano: {
    ...base, hiddenSize: 256, intermediateSize: 688, layers: 6, heads: 8, keyValueHeads: 2, headDim: 32,
    vocabularySize: 4096, maxPositions: 256,
  },
  /** 55 M parameters. */
  small: {
    ...base, hiddenSize: 512, intermediateSize: 1408, layers: 8, heads: 8, keyValueHeads: 2, headDim: 64,
    vocabularySize: 32_000, maxPositions: 512,
  },
  /** 125 M parameters. */
  medium: {
    ...base, hiddenSize: 768, intermediateSize: 2048, layers: 12, heads: 12, keyValueHeads: 4, headDim: 64,
    vocabularySize: 32_000, maxPositions: 1024,
  },
  /** H2O-Danube-1.8B base. */
  "danube-1.8b": { ...danube, maxPositions: 16_384, slidingWindow: 4096 },
  /** H2O-Danube2-1.8B: no sliding window. */
  "danube2-1.8b": { ...danube, maxPositions: 8192, padId: 0 },
  /** H2O-Danube3-500M. */
  "danube3-500m": { ...danube3, hiddenSize: 1536, intermediateSize: 4096, layers: 16, heads: 16, headDim: 96 },
  /** H2O-Danube3-4B. */
  "danube3-4b": {
    ...danube3, hiddenSize: 3840, intermediateSize: 10_240, layers: 24, heads: 32, headDim: 120, initializerRange: 0.01,
  },
};

/** Every preset's name. */
export const presetNames: readonly PresetName[] = Object.keys(presets) as PresetName[];

/**
 * The configuration of a preset, with `changes` in place of its fields.
 * @throws ConfigError if there is no such preset, or the changed configuration is none
 */
export function preset(name: string, changes: Partial<DecoderConfig> = {}): DecoderConfig {
  if (!Object.hasOwn(presets, name)) {
    throw new ConfigError(`preset: expected one of ${presetNames.join(", ")}, got ${JSON.stringify(name)}`, { name });
  }
  return validateConfig({ ...presets[name as PresetName], ...changes });
}

/** Weights of the matrices of all layers together: query, key, value, output; gate, up, down. */
function layerMatrixParameters(config: DecoderConfig): number {
  const { hiddenSize, intermediateSize, layers, heads, keyValueHeads, headDim } = config;
  const attention = 2 * hiddenSize * headDim * (heads + keyValueHeads);
  return layers * (attention + 3 * hiddenSize * intermediateSize);
}

/** Trainable numbers of a model: embedding, output layer unless tied, matrices of the layers, 2 · layers + 1 norms. */
export function parameterCount(config: DecoderConfig): number {
  const { hiddenSize, layers, vocabularySize, tieEmbeddings } = config;
  const embeddings = (tieEmbeddings ? 1 : 2) * vocabularySize * hiddenSize;
  return embeddings + layerMatrixParameters(config) + (2 * layers + 1) * hiddenSize;
}

/**
 * Floating-point operations to train on one token: forward and backward, multiply and add counted as two:
 * `6 · M + 12 · layers · heads · headDim · span`, where M are the weights of all matrices that multiply activations
 * (layers and output layer, tied or not; not the embedding look-up), and span is the mean number of keys a query sees:
 * `(T + 1) / 2` under a causal mask, `(W · (W + 1) / 2 + (T - W) · W) / T` with a sliding window of W < T keys.
 * Norms, rotary positions, softmax and recomputation are not counted. After Chowdhery et al. 2022, appendix B.
 * @param sequenceLength T, in tokens
 */
export function flopsPerToken(config: DecoderConfig, sequenceLength: number): number {
  const { hiddenSize, layers, heads, headDim, vocabularySize, slidingWindow } = config;
  const T = sequenceLength;
  const W = Math.min(slidingWindow ?? T, T);
  const span = ((W * (W + 1)) / 2 + (T - W) * W) / T;
  const matrices = layerMatrixParameters(config) + vocabularySize * hiddenSize;
  return 6 * matrices + 12 * layers * heads * headDim * span;
}

import { parameterCount, type DecoderConfig } from "@danu/model";

/** Settings that decide how much memory training takes. */
export interface MemorySettings {
  readonly dtype: "f32" | "bf16";
  /** Tokens of a micro-batch. */
  readonly tokens: number;
  readonly recompute: boolean;
  /** Parameters that are trained; all of the model's by default, else an adapter's beside them. */
  readonly trained?: number;
}

/** Memory that training is expected to take at most, in bytes.
 *
 *  A parameter has its f32 master weight, two moments and gradient, and in bf16 a copy and that copy's gradient. A
 *  token keeps of every block its inputs and products: residual stream and norms `4 C`, queries, rotated queries and
 *  attention output `3 H·D`, keys and values with rotated keys `3 G·D`, and `3 F` of the feed-forward layer; with
 *  `recompute` only the stream, and two blocks in full. Frozen weights are held once. */
export function predictTrainingBytes(config: DecoderConfig, settings: MemorySettings): number {
  const { dtype, tokens, recompute, trained = parameterCount(config) } = settings;
  const { hiddenSize: C, intermediateSize: F, heads, keyValueHeads, headDim, layers } = config;
  const element = dtype === "bf16" ? 2 : 4;
  const perParameter = 16 + (dtype === "bf16" ? 4 : 0);
  const block = 4 * C + 3 * heads * headDim + 3 * keyValueHeads * headDim + 3 * F;
  const kept = recompute ? layers * C + 2 * block : (layers + 1) * block;
  const frozen = trained === parameterCount(config) ? 0 : parameterCount(config) * element;
  return frozen + trained * perParameter + tokens * kept * element;
}

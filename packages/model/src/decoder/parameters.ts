import { keep, ones, tensor, type Device, type Tensor } from "@danu/tensor";

import type { DecoderConfig } from "../config.ts";
import { Random } from "../random.ts";

/** Weights of one block; linear layers are `[outputs, inputs]`. */
export interface BlockParameters<T = Tensor> {
  readonly attentionNorm: T;
  readonly query: T;
  readonly key: T;
  readonly value: T;
  readonly output: T;
  readonly mlpNorm: T;
  readonly gate: T;
  readonly up: T;
  readonly down: T;
}

/** A linear layer of a block. */
export type LinearLayer = Exclude<keyof BlockParameters, "attentionNorm" | "mlpNorm">;

/** The linear layers of a block, in the order in which it uses them. */
export const linearLayers: readonly LinearLayer[] = ["query", "key", "value", "output", "gate", "up", "down"];

/** Weights of a decoder, as a plain tree. A tied head is null: the embedding serves. */
export interface DecoderParameters<T = Tensor> {
  readonly embedding: T;
  readonly blocks: readonly BlockParameters<T>[];
  readonly norm: T;
  readonly head: T | null;
}

/** Shape of every weight. `C` hidden size, `F` intermediate size, `H·D` query width, `G·D` key-value width, `V` vocabulary. */
export function parameterShapes(config: DecoderConfig): DecoderParameters<readonly number[]> {
  const { hiddenSize: C, intermediateSize: F, vocabularySize: V, headDim: D } = config;
  const [queryWidth, keyValueWidth] = [config.heads * D, config.keyValueHeads * D];
  const block = {
    attentionNorm: [C], query: [queryWidth, C], key: [keyValueWidth, C], value: [keyValueWidth, C], output: [C, queryWidth],
    mlpNorm: [C], gate: [F, C], up: [F, C], down: [C, F],
  };
  const blocks = Array.from({ length: config.layers }, () => block);
  return { embedding: [V, C], blocks, norm: [C], head: config.tieEmbeddings ? null : [V, C] };
}

/** Hugging Face's name of every weight. */
export function huggingFaceNames(config: DecoderConfig): DecoderParameters<string> {
  const blocks = Array.from({ length: config.layers }, (_, i) => {
    const at = (name: string): string => `model.layers.${i}.${name}.weight`;
    return {
      attentionNorm: at("input_layernorm"),
      query: at("self_attn.q_proj"), key: at("self_attn.k_proj"), value: at("self_attn.v_proj"), output: at("self_attn.o_proj"),
      mlpNorm: at("post_attention_layernorm"),
      gate: at("mlp.gate_proj"), up: at("mlp.up_proj"), down: at("mlp.down_proj"),
    };
  });
  const head = config.tieEmbeddings ? null : "lm_head.weight";
  return { embedding: "model.embed_tokens.weight", blocks, norm: "model.norm.weight", head };
}

/** Builds a tree of weights by name and shape. */
export function mapParameters<T>(config: DecoderConfig, f: (name: string, shape: readonly number[]) => T): DecoderParameters<T> {
  const [names, shapes] = [huggingFaceNames(config), parameterShapes(config)];
  const block = (i: number): BlockParameters<T> => {
    const [name, shape] = [names.blocks[i]!, shapes.blocks[i]!];
    const keys = Object.keys(name) as (keyof BlockParameters)[];
    return Object.fromEntries(keys.map((key) => [key, f(name[key], shape[key])])) as unknown as BlockParameters<T>;
  };
  return {
    embedding: f(names.embedding, shapes.embedding),
    blocks: names.blocks.map((_, i) => block(i)),
    norm: f(names.norm, shapes.norm),
    head: names.head === null || shapes.head === null ? null : f(names.head, shapes.head),
  };
}

/** Fresh f32 weights: norms are 1, everything else is normal with the configured standard deviation.
 *  The caller owns them.
 *  @param seed equal seeds give equal weights */
export function initialize(device: Device, config: DecoderConfig, seed: number): DecoderParameters {
  const random = new Random(seed);
  return mapParameters(config, (_, shape) => {
    if (shape.length === 1) return keep(ones(device, shape));
    const values = new Float32Array(shape[0]! * shape[1]!);
    for (let i = 0; i < values.length; i++) values[i] = random.normal() * config.initializerRange;
    return keep(tensor(device, values, shape));
  });
}

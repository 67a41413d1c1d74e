import {
  add, cast, div, linear, matmul, mul, reshape, sizeOf, sqrt, stopGradient, sum, Tensor, tensor, type Shape,
} from "@danu/tensor";

import type { BlockParameters, DecoderParameters, LinearLayer } from "../decoder/parameters.ts";
import { Random } from "../random.ts";
import { loraScale, loraTargets, type LoraConfig, type LoraFactors, type LoraParameters } from "./lora.ts";

/** A weight with an update of low rank beside it. */
export interface AdaptedWeight {
  /** `[outputs, inputs]`, frozen. */
  readonly weight: Tensor;
  readonly factors: LoraFactors;
  readonly scale: number;
  /** Leaves out some inputs of the update, the same ones for the same seed; null outside of training. */
  readonly dropout: { readonly rate: number; readonly seed: number } | null;
}

/** A linear layer's weight: plain or adapted. */
export type ProjectionWeight = Tensor | AdaptedWeight;

/** A linear layer: `y = x · Wᵀ + scale · x · Aᵀ · Bᵀ (+ residual)`; with DoRA the rows of `W + scale · B · A` are brought
 *  to the learned length. Hu et al. 2021; Liu et al. 2024.
 *  @param x `[..., inputs]`  @returns `[..., outputs]` */
export function project(x: Tensor, weight: ProjectionWeight, residual: Tensor | null = null): Tensor {
  if (weight instanceof Tensor) return linear(x, weight, residual);
  const { factors, scale, dropout } = weight;
  const kept = dropout === null ? x : mul(x, keptInputs(x, dropout));
  const narrow = linear(kept, factors.a);
  const update = scale === 1 ? narrow : mul(narrow, scale);
  if (factors.magnitude === null) return linear(update, factors.b, project(x, weight.weight, residual));
  const y = mul(linear(update, factors.b, project(x, weight.weight)), rowFactors(weight));
  return residual === null ? y : add(y, residual);
}

/** Learned length of every row over its present one, which counts as a constant. @returns `[outputs]` */
function rowFactors({ weight, factors, scale }: AdaptedWeight): Tensor {
  const { a, b, magnitude } = factors;
  const wide = (x: Tensor): Tensor => cast(stopGradient(x), "f32");
  const rows = add(cast(weight, "f32"), mul(matmul(wide(b), wide(a)), scale));
  const lengths = sqrt(sum(mul(rows, rows), { axis: -1 }));
  return cast(div(cast(magnitude!, "f32"), lengths), weight.dtype);
}

/** 0 for the inputs left out, and what keeps the mean for the others. */
function keptInputs(x: Tensor, { rate, seed }: { readonly rate: number; readonly seed: number }): Tensor {
  const random = new Random(seed);
  const factor = 1 / (1 - rate);
  const values = new Float32Array(sizeOf(x.shape));
  for (let i = 0; i < values.length; i++) values[i] = random.bits() < rate * 2 ** 32 ? 0 : factor;
  return tensor(x.device, values, x.shape as Shape, x.dtype);
}

/** Weights of a decoder, some of them adapted. */
export type AdaptedParameters = Omit<DecoderParameters, "blocks"> & { readonly blocks: readonly AdaptedBlock[] };

/** Weights of a block, some of them adapted. */
export type AdaptedBlock = { readonly [K in keyof BlockParameters]: K extends LinearLayer ? ProjectionWeight : Tensor };

/** Puts an adapter beside the weights; nothing is copied.
 *  @param dropoutSeed of a training pass: every pass needs another; null for none */
export function adapt(
  params: DecoderParameters, adapter: LoraParameters, lora: LoraConfig, dropoutSeed: number | null = null,
): AdaptedParameters {
  const scale = loraScale(lora);
  const blocks = params.blocks.map((block, i): AdaptedBlock => {
    const adapted: { -readonly [K in keyof AdaptedBlock]: AdaptedBlock[K] } = { ...block };
    for (const [j, target] of loraTargets.entries()) {
      const factors = adapter.blocks[i]![target];
      if (factors === undefined) continue;
      const seed = dropoutSeed === null ? 0 : (dropoutSeed * 4096 + i) * loraTargets.length + j;
      const dropout = dropoutSeed === null || lora.dropout === 0 ? null : { rate: lora.dropout, seed };
      adapted[target] = { weight: block[target], factors, scale, dropout };
    }
    return adapted;
  });
  return { ...params, blocks };
}

/** The weight that gives without an adapter what it gives with one: `W + scale · B · A`, its rows brought to their
 *  lengths with DoRA. Computed in f32 and rounded once. @returns `[outputs, inputs]`, dtype of the weight */
export function mergedWeight(adapted: AdaptedWeight): Tensor {
  const { factors, scale, weight } = adapted;
  const product = mul(matmul(cast(factors.b, "f32"), cast(factors.a, "f32")), scale);
  const rows = add(cast(weight, "f32"), product);
  if (factors.magnitude === null) return cast(rows, weight.dtype);
  const lengths = sqrt(sum(mul(rows, rows), { axis: -1 }));
  const factor = div(cast(factors.magnitude, "f32"), lengths);
  return cast(mul(rows, reshape(factor, [weight.shape[0]!, 1])), weight.dtype);
}

import { fp8QueryKeyValue, queryKeyValue as plainQueryKeyValue, rope } from "@danu/attention";
import { dims, fp8FeedForward, fp8Linear, fp8NormLinears, normSwiglu, reshape, rmsNorm, swiglu, Tensor } from "@danu/tensor";

import { fp8Groups, type Fp8Block } from "../fp8/fp8.ts";
import { project, type AdaptedBlock } from "../lora/adapted-weight.ts";
import type { BlockParameters, DecoderParameters, LinearLayer } from "./parameters.ts";

/** Weights of a block as a decoder computes with them: plain or adapted, or plain with layers in fp8. */
export type BlockWeights = (AdaptedBlock & { readonly fp8?: undefined }) | (BlockParameters & { readonly fp8: Fp8Block });

/** Weights of a decoder as it computes with them. */
export type DecoderWeights = Omit<DecoderParameters, "blocks"> & { readonly blocks: readonly BlockWeights[] };

/** A linear layer of a block. @param x `[..., inputs]`  @returns `[..., outputs]` */
export function linearLayer(x: Tensor, p: BlockWeights, layer: LinearLayer, residual: Tensor | null = null): Tensor {
  if (p.fp8 === undefined) return project(x, p[layer], residual);
  const { matrices, calibrate } = p.fp8;
  const matrix = matrices[layer];
  return matrix === undefined ? project(x, p[layer], residual) : fp8Linear(x, p[layer], matrix, { residual, calibrate });
}

/** Layers that read the same normed input. @param x `[..., C]`  @returns `[..., outputs]` each */
function normedLayers(x: Tensor, p: BlockWeights, norm: Tensor, group: keyof typeof fp8Groups, eps: number): Tensor[] {
  const layers = fp8Groups[group];
  if (p.fp8 !== undefined) {
    const { matrices, calibrate } = p.fp8;
    const matrix = matrices[group];
    if (matrix !== undefined) return fp8NormLinears(x, norm, layers.map((layer) => p[layer]), matrix, { eps, calibrate });
  }
  const normed = rmsNorm(x, norm, eps);
  return layers.map((layer) => linearLayer(normed, p, layer));
}

/** What attention reads, queries and keys turned. @param x `[B, T, C]`  @param table `[P, D]`, see `rope`  @param positions `[B, T]`
 *  @param generates no gradient is asked for  @returns `[B, T, H, D]`, `[B, T, G, D]` and `[B, T, G, D]` */
export function queryKeyValue(
  x: Tensor, p: BlockWeights, table: Tensor, positions: Tensor, eps: number, generates: boolean,
): readonly [q: Tensor, k: Tensor, v: Tensor] {
  if (p.fp8 !== undefined) {
    const { matrices, calibrate } = p.fp8;
    const matrix = matrices.queryKeyValue;
    if (matrix !== undefined) return fp8QueryKeyValue(x, p.attentionNorm, p, matrix, table, positions, { eps, calibrate });
  }
  const { query, key, value } = p;
  if (generates && query instanceof Tensor && key instanceof Tensor && value instanceof Tensor) {
    return plainQueryKeyValue(x, p.attentionNorm, { query, key, value }, table, positions, eps);
  }
  const D = table.shape[1]!;
  const byHead = (y: Tensor): Tensor => {
    const { B, T, C } = dims(y, "B T C");
    return reshape(y, [B, T, C / D, D]);
  };
  const [queries, keys, values] = normedLayers(x, p, p.attentionNorm, "queryKeyValue", eps).map(byHead) as [Tensor, Tensor, Tensor];
  return [rope(queries, table, positions), rope(keys, table, positions), values];
}

/** The feed-forward half of a block with its norm and residual. @param x `[..., C]`  @param generates no gradient is asked for
 *  @returns `[..., C]` */
export function feedForward(x: Tensor, p: BlockWeights, eps: number, generates: boolean): Tensor {
  if (p.fp8 !== undefined) {
    const { matrices: { gateUp, down }, calibrate } = p.fp8;
    if (gateUp !== undefined && down !== undefined) return fp8FeedForward(x, p.mlpNorm, p, gateUp, down, { eps, calibrate });
  }
  if (generates && p.gate instanceof Tensor && p.up instanceof Tensor) {
    return linearLayer(normSwiglu(x, p.mlpNorm, p.gate, p.up, eps), p, "down", x);
  }
  const [gate, up] = normedLayers(x, p, p.mlpNorm, "gateUp", eps) as [Tensor, Tensor];
  return linearLayer(swiglu(gate, up), p, "down", x);
}

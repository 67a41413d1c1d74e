import { attention, KeyValueCache, ropeTable, type AttentionCache } from "@danu/attention";
import {
  add, cast, dims, embedding, keep, linear, linearCrossEntropy, remat, reshape, rmsNorm, scope, tokenLosses,
  type Device, type DType, type Tensor,
} from "@danu/tensor";

import type { DecoderConfig } from "../config.ts";
import { feedForward, linearLayer, queryKeyValue, type BlockWeights, type DecoderWeights } from "./layers.ts";

/** Token ids with what attention needs to know about them. */
export interface DecoderInput {
  /** i32 `[B, T]` */
  readonly ids: Tensor;
  /** Position of every token in its document, i32 `[B, T]`. */
  readonly positions: Tensor;
  /** Index in its row of the first token of each token's document, i32 `[B, T]`; null for one document a row. */
  readonly documentStart: Tensor | null;
  /** Added to the embeddings, `[B, T, C]`: noise of fine-tuning. */
  readonly embeddingNoise?: Tensor | null;
}

/** Switches of a forward pass. */
export interface DecoderOptions {
  /** Forget the activations of this many blocks, the first ones, and compute them again in the backward pass. */
  readonly recomputedBlocks?: number;
}

/** A Llama or Mistral decoder on one device: grouped-query attention with RoPE, SwiGLU, RMSNorm, no biases.
 *  Touvron et al. 2023; Jiang et al. 2023. It holds no weights: they are the first argument, as a plain tree. */
export class Decoder implements Disposable {
  readonly config: DecoderConfig;
  readonly device: Device;
  /** Longest text this decoder can see, in tokens. */
  readonly positions: number;
  readonly #recomputedBlocks: number;
  readonly #table: Tensor;

  /** @param positions longest text that will be seen, at most and by default `maxPositions` of the configuration */
  constructor(device: Device, config: DecoderConfig, positions: number = config.maxPositions, options: DecoderOptions = {}) {
    this.config = config;
    this.device = device;
    this.positions = positions;
    this.#recomputedBlocks = options.recomputedBlocks ?? 0;
    this.#table = keep(ropeTable(device, { positions, headDim: config.headDim, theta: config.ropeTheta }));
  }

  /** Final hidden states, after the last norm. @returns `[B, T, C]` in the dtype of the weights */
  hiddenStates(params: DecoderWeights, input: DecoderInput, caches: readonly AttentionCache[] | null = null): Tensor {
    return scope(() => {
      const embedded = embedding(input.ids, params.embedding);
      let x = input.embeddingNoise == null ? embedded : add(embedded, cast(input.embeddingNoise, embedded.dtype));
      params.blocks.forEach((block, i) => {
        const forward = (p: BlockWeights, h: Tensor): Tensor => scope(() => this.#block(p, h, input, caches?.[i] ?? null));
        x = i < this.#recomputedBlocks ? remat(forward)(block, x) : forward(block, x);
      });
      return rmsNorm(x, params.norm, this.config.rmsNormEps);
    });
  }

  /** Scores of the next token after every position. @returns `[B, T, V]` in the dtype of the weights */
  logits(params: DecoderWeights, input: DecoderInput, caches: readonly AttentionCache[] | null = null): Tensor {
    return scope(() => this.head(params, this.hiddenStates(params, input, caches)));
  }

  /** Scores from final hidden states. @param hidden `[..., C]`  @returns `[..., V]` */
  head(params: DecoderWeights, hidden: Tensor): Tensor {
    return linear(hidden, params.head ?? params.embedding);
  }

  /** `scale · Σ cross-entropy` over the targets that are not −100, in nats.
   *  @param targets i32 `[B, T]`  @returns f32 `[]` */
  loss(params: DecoderWeights, input: DecoderInput, targets: Tensor, scale = 1): Tensor {
    return scope(() => {
      const hidden = this.#rows(this.hiddenStates(params, input));
      return linearCrossEntropy(hidden, params.head ?? params.embedding, reshape(targets, [-1]), { scale });
    });
  }

  /** Cross-entropy of every token, in nats; 0 where the target is −100. @returns f32 `[B, T]` */
  tokenLosses(params: DecoderWeights, input: DecoderInput, targets: Tensor): Tensor {
    return scope(() => {
      const hidden = this.#rows(this.hiddenStates(params, input));
      return reshape(tokenLosses(hidden, params.head ?? params.embedding, reshape(targets, [-1])), targets.shape);
    });
  }

  /** Empty caches, one a block, for generating up to `positions` positions. */
  caches(batch: number, positions: number, dtype: DType): KeyValueCache[] {
    const { keyValueHeads, headDim, slidingWindow } = this.config;
    const options = { batch, keyValueHeads, headDim, slidingWindow, maxPositions: positions, dtype };
    return Array.from({ length: this.config.layers }, () => new KeyValueCache(this.device, options));
  }

  [Symbol.dispose](): void {
    this.#table.dispose();
  }

  #block(p: BlockWeights, x: Tensor, input: DecoderInput, cache: AttentionCache | null): Tensor {
    const { heads, headDim, slidingWindow, rmsNormEps } = this.config;
    const { B, T } = dims(x, "B T C");
    const [q, k, v] = queryKeyValue(x, p, this.#table, input.positions, rmsNormEps, cache !== null);
    const mixed = cache === null
      ? attention(q, k, v, { slidingWindow, documentStart: input.documentStart })
      : cache.attend(q, k, v);
    const h = linearLayer(reshape(mixed, [B, T, heads * headDim]), p, "output", x);
    return feedForward(h, p, rmsNormEps, cache !== null);
  }

  #rows(hidden: Tensor): Tensor {
    return reshape(hidden, [-1, this.config.hiddenSize]);
  }
}

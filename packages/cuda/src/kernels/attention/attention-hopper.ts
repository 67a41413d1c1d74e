import type { AttentionAttrs, attentionGradOp, attentionOp } from "@danu/attention";
import { bytesPerElement, type InputsOf, type KernelOf, type Tensor } from "@danu/tensor";

import { cudaOf } from "../../device.ts";
import { defineKernel, type ArgumentsOf, type Kernel } from "../../kernel.ts";
import type { TensorMap } from "../../tensor-map.ts";

const headDims = [64, 80, 96, 120, 128] as const;
type HeadDim = (typeof headDims)[number];

/** `NAME_64` and so on. */
function kernelsByHeadDim<const S extends string>(file: string, name: string, signature: S): Readonly<Record<HeadDim, Kernel<S>>> {
  const kernel = (headDim: HeadDim): Kernel<S> => defineKernel(file, `${name}_${headDim}`, signature);
  return { 64: kernel(64), 80: kernel(80), 96: kernel(96), 120: kernel(120), 128: kernel(128) };
}

const forward = kernelsByHeadDim("attention-forward", "attention_forward", "mmmmp(piiiiif)");
const forwardShort = {
  64: defineKernel("attention-forward", "attention_forward_short_64", "mmmmp(piiiiif)"),
  80: defineKernel("attention-forward", "attention_forward_short_80", "mmmmp(piiiiif)"),
};
const statistics = kernelsByHeadDim("attention-backward", "attention_backward_statistics", "pppp(piiiiif)");
const backwardKeys = kernelsByHeadDim("attention-backward", "attention_backward_keys", "mmmmmmp(piiiiif)");
const backwardQueries = kernelsByHeadDim("attention-backward", "attention_backward_queries", "mmmmmp(piiiiif)");

// Keys that a query sees, from which one large block on a multiprocessor is faster than two small ones.
const manyKeys = 2048;
// A block has up to 192 queries, and shorter sequences share it.
const leastQueries = 128;

/** Whether the kernels for Hopper serve: whole sequences of bf16 heads, on the one chip that has their instructions. */
export function isForHopper([q, k]: readonly [q: Tensor, k: Tensor, ...rest: (Tensor | null)[]], { keyLength }: AttentionAttrs): boolean {
  const [, T, , D] = q.shape as [number, number, number, number];
  return cudaOf(q).chip.capability === 90 && q.dtype === "bf16" && (headDims as readonly number[]).includes(D)
    && T >= leastQueries && k.shape[1] === T && (keyLength === null || keyLength === T);
}

/** A tensor `[B, T, heads, D]` as the copy engine sees it: 64 columns of one head of 64 tokens at a time. */
function mapOf(x: Tensor): TensorMap {
  const [B, T, heads, D] = x.shape as [number, number, number, number];
  const row = D * bytesPerElement.bf16;
  return cudaOf(x).maps.of({ base: x.handle, dtype: "bf16", sizes: [D, heads, B * T], strides: [row, heads * row], box: [64, 1, 64] });
}

interface Call {
  readonly tokens: number;
  readonly H: number;
  readonly G: number;
  readonly D: HeadDim;
  readonly window: number;
  /** `AttentionShape` of attention-tiles.cuh. */
  readonly shape: ArgumentsOf<"piiiiif">;
}

function callOf([q, k, , documentStart]: InputsOf<typeof attentionOp>, { scale, slidingWindow }: AttentionAttrs): Call {
  const [B, T, H, D] = q.shape as [number, number, number, HeadDim];
  const G = k.shape[2]!;
  const window = Math.min(slidingWindow ?? T, T);
  return { tokens: B * T, H, G, D, window, shape: [documentStart?.handle ?? 0, B * T, T, H, G, window, scale] };
}

export const hopperForward: KernelOf<typeof attentionOp> = ([o, lse], x, attrs) => {
  const { tokens, H, D, window, shape } = callOf(x, attrs);
  const [q, k, v] = x;
  const maps = [mapOf(q), mapOf(k), mapOf(v), mapOf(o)] as const;
  if (window < manyKeys && (D === 64 || D === 80)) {
    const shared = D === 64 ? 50_176 : 99_328;
    cudaOf(o).launch(forwardShort[D], { grid: [H, Math.ceil(tokens / 128)], block: 384, shared }, ...maps, lse.handle, ...shape);
  } else {
    const shared = D === 64 ? 91_136 : 181_248;
    cudaOf(o).launch(forward[D], { grid: [H, Math.ceil(tokens / 192)], block: 512, shared }, ...maps, lse.handle, ...shape);
  }
};

export const hopperBackward: KernelOf<typeof attentionGradOp> = ([dq, dk, dv], [g, q, k, v, o, lse, documentStart], attrs) => {
  const cuda = cudaOf(dq);
  const { tokens, H, G, D, shape } = callOf([q, k, v, documentStart], attrs);
  const tiles = Math.ceil(tokens / 64);
  const inputs = [mapOf(q), mapOf(k), mapOf(v), mapOf(g)] as const;
  const [keysShared, queriesShared] = D === 64 ? [84_992, 99_328] : [166_912, 197_632];
  cuda.withScratch(2 * H * 64 * tiles * bytesPerElement.f32, (rows) => {
    cuda.launch(
      statistics[D], { grid: [4 * tiles, Math.ceil(H / 4)], block: 4 * D, shared: 32 * D },
      o.handle, g.handle, lse.handle, rows, ...shape,
    );
    cuda.launch(
      backwardKeys[D], { grid: [G, Math.ceil(tokens / 128)], block: 384, shared: keysShared },
      ...inputs, mapOf(dk), mapOf(dv), rows, ...shape,
    );
    cuda.launch(
      backwardQueries[D], { grid: [H, Math.ceil(tokens / 192)], block: 512, shared: queriesShared },
      ...inputs, mapOf(dq), rows, ...shape,
    );
  });
};

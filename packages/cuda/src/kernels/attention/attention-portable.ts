import type { AttentionAttrs, attendNextOp, attentionGradOp, attentionOp } from "@danu/attention";
import type { InputsOf, KernelOf, Tensor } from "@danu/tensor";

import { cudaOf } from "../../device.ts";
import { rangeOf } from "../../early-starts.ts";
import { defineKernel, type ArgumentsOf } from "../../kernel.ts";
import { decodeSharedBytes, kernelsByWidth, mostChannels, tileBytes, widthOf, type Width } from "./widths.ts";

type DType = "bf16" | "f16";

const forward = kernelsByWidth("attention-portable-forward", "attention_portable_forward", "(ppppiiiiiiif)pp");
const backwardFile = "attention-portable-backward";
const statistics = {
  bf16: defineKernel(backwardFile, "attention_portable_backward_statistics_bf16", "(ppppiiiiiiif)pppp"),
  f16: defineKernel(backwardFile, "attention_portable_backward_statistics_f16", "(ppppiiiiiiif)pppp"),
};
const backwardKeys = kernelsByWidth(backwardFile, "attention_portable_backward_keys", "(ppppiiiiiiif)pppp");
const backwardQueries = kernelsByWidth(backwardFile, "attention_portable_backward_queries", "(ppppiiiiiiif)ppp");
const decode = kernelsByWidth("attention-portable-decode", "attention_portable_decode", "(ppppiiiiiiif)(pppppp)(ppp)pp");

interface Call {
  readonly B: number;
  readonly T: number;
  readonly S: number;
  readonly H: number;
  readonly G: number;
  readonly D: number;
  /** Keys in use, of which a query sees the last `window`. */
  readonly keys: number;
  readonly window: number;
  readonly dtype: DType;
  readonly width: Width;
  /** `Inputs` of attention-portable.cuh. */
  readonly inputs: ArgumentsOf<"ppppiiiiiiif">;
}

function callOf([q, k, v, documentStart]: InputsOf<typeof attentionOp>, { scale, slidingWindow, keyLength }: AttentionAttrs): Call {
  const [B, T, H, D] = q.shape as [number, number, number, number];
  const [, S, G] = k.shape as [number, number, number];
  const keys = keyLength ?? S;
  const window = Math.min(slidingWindow ?? keys, keys);
  return {
    B, T, S, H, G, D, keys, window,
    dtype: q.dtype as DType,
    width: widthOf(D),
    inputs: [q.handle, k.handle, v.handle, documentStart?.handle ?? 0, T, S, keys, H, G, D, window, scale],
  };
}

/** Whether the portable kernels serve: bf16 and f16 heads of a multiple of 8 channels up to 128. */
export function isPortable([q]: readonly [q: Tensor, ...rest: (Tensor | null)[]], { scale }: Pick<AttentionAttrs, "scale">): boolean {
  const D = q.shape[3]!;
  return (q.dtype === "bf16" || q.dtype === "f16") && D > 0 && D % 8 === 0 && D <= mostChannels && scale > 0;
}

export const portableForward: KernelOf<typeof attentionOp> = ([o, lse], x, attrs) => {
  const { B, T, H, dtype, width, inputs } = callOf(x, attrs);
  // Queries, and two stages of keys and values.
  const shared = tileBytes(128 + 4 * (width <= 80 ? 64 : 32), width);
  cudaOf(o).launch(forward[dtype][width], { grid: [H, Math.ceil(T / 128), B], block: 128, shared }, ...inputs, o.handle, lse.handle);
};

export const portableBackward: KernelOf<typeof attentionGradOp> = ([dq, dk, dv], [g, q, k, v, o, lse, documentStart], attrs) => {
  const cuda = cudaOf(dq);
  const { B, T, S, H, G, dtype, width, inputs } = callOf([q, k, v, documentStart], attrs);
  const tiles = Math.ceil(T / 64);
  const streamed = width <= 96 ? 64 : 32;
  // Two tiles of the block's own rows, and two stages of two others.
  const shared = tileBytes(128 + 4 * streamed, width);
  const queryBytes = 16;
  cuda.withScratch(queryBytes * B * H * 64 * tiles, (queries) => {
    cuda.launch(statistics[dtype], { grid: [4 * tiles, H, B], block: 256 }, ...inputs, o.handle, g.handle, lse.handle, queries);
    cuda.launch(
      backwardKeys[dtype][width], { grid: [G, Math.ceil(S / 64), B], block: 128, shared: shared + 2 * streamed * queryBytes },
      ...inputs, g.handle, queries, dk.handle, dv.handle,
    );
    cuda.launch(backwardQueries[dtype][width], { grid: [H, tiles, B], block: 128, shared }, ...inputs, g.handle, queries, dq.handle);
  });
};

// A part has at least this many tiles of 16 keys, two a warp; blocks in all are about as many as multiprocessors of an H100, and
// the same on every chip, for the same bits.
const leastTiles = 8;
const blocks = 128;

/** Parts that the keys of each kv head are shared out in: as many as if there were keys wherever there is room, so that sums
 *  have one order whether the host knows how many there are or the GPU alone. */
function partsOf({ B, T, S, H, G, window }: Call): number {
  const first = Math.max(0, S - T - window + 1);
  const tiles = Math.ceil(S / 16) - Math.floor(first / 16);
  const others = B * G * Math.ceil((H / G) * T / 16);
  const each = Math.ceil(tiles / Math.ceil(Math.min(blocks / others, tiles / leastTiles)));
  return Math.ceil(tiles / each);
}

/** `Fresh` of attention-portable-decode.cu. */
type Fresh = ArgumentsOf<"(pppppp)">;

/** Attention of few queries over many keys; T above 0. */
export const portableDecode: KernelOf<typeof attentionOp> = (y, x, attrs) => {
  const [, keys, values, documentStart] = x;
  decodeOver(y, callOf(x, attrs), [0, 0, 0, 0, 0, 0], { reads: [keys, values, documentStart], writes: [] });
};

/** The same, to the bit, over a cache whose length the GPU knows, and to which it appends the new keys and values. */
export const portableNext: KernelOf<typeof attendNextOp> = (y, [q, keys, values, k, v, stored], attrs) => {
  const call = callOf([q, keys, values, null], { ...attrs, keyLength: null });
  const cuda = cudaOf(q);
  const fresh: Fresh = [k.handle, v.handle, keys.handle, values.handle, stored.handle, cuda.fault];
  const alone = (): void => decodeOver(y, call, fresh, { reads: [keys, values, stored], writes: [keys, values] });
  const { B, T, S, H, G, D, window, dtype } = call;
  if (B * T !== 1) return alone();
  cuda.chain.add({
    kind: "attention", dtype, x: [q, k, v].map(rangeOf), results: y.map(rangeOf), weights: [keys, values, stored].map(rangeOf),
    n: H, G, D, K: S, extra: window, parts: partsOf(call), scale: attrs.scale,
  }, alone);
};

/** @param touched what the kernel reads before the queries are there, and what it writes beside its results */
function decodeOver(
  [o, lse]: readonly [o: Tensor, lse: Tensor], call: Call, fresh: Fresh,
  touched: { readonly reads: readonly (Tensor | null)[]; readonly writes: readonly Tensor[] },
): void {
  const cuda = cudaOf(o);
  const { B, T, H, G, dtype, width, inputs } = call;
  const parts = partsOf(call);
  const shared = decodeSharedBytes(width);
  const outputBytes = 4 * parts * o.size;
  const scratchBytes = outputBytes + 4 * parts * lse.size;
  cuda.withScratch(scratchBytes, (partO) => {
    const grid = [B * G, Math.ceil((H / G) * T / 16), parts] as const;
    const overlap = {
      reads: touched.reads.filter((tensor) => tensor !== null).map(rangeOf),
      writes: [...[o, lse, ...touched.writes].map(rangeOf), [partO, scratchBytes] as const],
    };
    const shape = { grid, block: 128, shared, overlap };
    cuda.launch(decode[dtype][width], shape, ...inputs, ...fresh, partO, partO + outputBytes, cuda.counters, o.handle, lse.handle);
  });
}

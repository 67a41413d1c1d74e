import { attention } from "@danu/attention";
import { cast, disposeTree, ones, pullback, scope, type Tensor } from "@danu/tensor";

import type { BenchMachine } from "./machine.ts";
import { measure } from "./measure.ts";

/** Sizes of one attention layer. */
export interface AttentionShape {
  readonly batch: number;
  readonly length: number;
  readonly heads: number;
  readonly keyValueHeads: number;
  readonly headDim: number;
  readonly slidingWindow: number | null;
}

/** Time and rate of the forward and the forward-and-backward pass; FLOPs are those of the visible pairs only. */
export interface AttentionResult extends AttentionShape {
  readonly dtype: "f32" | "bf16";
  readonly forwardMs: number;
  readonly totalMs: number;
  readonly gflops: number;
  readonly shareOfPeak: number;
}

/** Query-key pairs that causality and the window leave, per head. */
function visiblePairs({ length, slidingWindow }: AttentionShape): number {
  const window = Math.min(slidingWindow ?? length, length);
  return (window * (window + 1)) / 2 + (length - window) * window;
}

/** Measures attention forward, and forward with backward. */
export async function benchAttention(
  machine: BenchMachine, dtype: "f32" | "bf16", shape: AttentionShape,
): Promise<AttentionResult> {
  const { batch, length, heads, keyValueHeads, headDim, slidingWindow } = shape;
  const make = (h: number): Tensor => scope(() => cast(ones(machine.device, [batch, length, h, headDim]), dtype));
  const [q, k, v] = [make(heads), make(keyValueHeads), make(keyValueHeads)];
  const forward = await measure(machine, dtype, () => scope(() => { attention(q, k, v, { slidingWindow }); }));
  const both = await measure(machine, dtype, () => scope(() => {
    const { y, pull } = pullback((a, b, c) => [attention(a!, b!, c!, { slidingWindow })] as const, [q, k, v]);
    pull(y);
  }));
  disposeTree([q, k, v]);
  // Two products forward, five backward, two FLOPs a multiply-add.
  const flops = 14 * headDim * batch * heads * visiblePairs(shape);
  return {
    ...shape, dtype, forwardMs: forward.seconds * 1000, totalMs: both.seconds * 1000,
    gflops: flops / both.seconds / 1e9, shareOfPeak: flops / both.seconds / both.peak,
  };
}

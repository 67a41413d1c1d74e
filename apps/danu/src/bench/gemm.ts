import { cast, disposeTree, matmul, ones, scope, type Tensor } from "@danu/tensor";

import type { BenchMachine } from "./machine.ts";
import { measure } from "./measure.ts";

/** Rate of one product. */
export interface GemmResult {
  readonly m: number;
  readonly n: number;
  readonly k: number;
  readonly dtype: "f32" | "bf16";
  readonly gflops: number;
  readonly shareOfPeak: number;
}

/** Sizes that stand for the field's cube, and for the linear layers of the presets over 2,048 tokens. */
export const gemmShapes: readonly (readonly [m: number, n: number, k: number])[] = [
  [1024, 1024, 1024], [2048, 1408, 512], [2048, 512, 1408], [2048, 512, 512], [2048, 688, 256], [2048, 256, 688], [2048, 256, 256],
];

/** Measures `[M, K] · [N, K]ᵀ`, the product of a linear layer. */
export async function benchGemm(
  machine: BenchMachine, dtype: "f32" | "bf16", [m, n, k]: readonly [number, number, number],
): Promise<GemmResult> {
  const operand = (rows: number): Tensor => scope(() => cast(ones(machine.device, [rows, k]), dtype));
  const [a, b] = [operand(m), operand(n)];
  const run = await measure(machine, dtype, () => scope(() => { matmul(a, b, { transposeB: true }); }), 1.5);
  disposeTree([a, b]);
  const flops = (2 * m * n * k) / run.seconds;
  return { m, n, k, dtype, gflops: flops / 1e9, shareOfPeak: flops / run.peak };
}

import { bytesPerElement, type Handle, type KernelOf, type linearCrossEntropyOp, type Tensor, type tokenLossesGradOp, type tokenLossesOp } from "@danu/tensor";

import { cudaOf, type CudaDevice } from "../../device.ts";
import { defineKernel } from "../../kernel.ts";
import { fusedType } from "../flat.ts";
import { multiply } from "../products/matmul.ts";
import type { Product } from "../products/product.ts";

const rowsOf = {
  f32: defineKernel("cross-entropy", "cross_entropy_f32", "ppppfpiiii"),
  bf16: defineKernel("cross-entropy", "cross_entropy_bf16", "ppppfpiiii"),
};
const sumOf = defineKernel("cross-entropy", "cross_entropy_sum", "ppif");

/** What one kernel works on at a time is to have room in shared memory and in L2, where it is read again. */
const BLOCKS_PER_MULTIPROCESSOR = 2;
/** Logits of a row that the kernel reads at a time, and keeps or not. */
const STEP = 8192;

/** Logits of a row of V that stay in shared memory until their gradients are made. */
function keptOf({ chip }: CudaDevice, V: number): number {
  const room = Math.floor(chip.sharedBytes / BLOCKS_PER_MULTIPROCESSOR / (STEP * bytesPerElement.f32));
  return STEP * Math.min(room, Math.ceil(V / STEP));
}

/** Rows of one chunk: 256 MB of logits, which are enough rows of a large vocabulary to fill a GPU with products, and half of the
 *  rows at most, but no fewer than a tile of a product has; all chunks nearly alike. */
function rowsPerChunk(N: number, V: number): number {
  const [mostLogits, fewest] = [2 ** 26, 128];
  const most = Math.max(fewest, Math.min(Math.floor(mostLogits / Math.max(V, 1)), Math.ceil(N / 2)));
  return Math.ceil(N / Math.max(1, Math.ceil(N / most)));
}

type Inputs = readonly [x: Tensor, weight: Tensor, targets: Tensor];

/** What is wanted beside the losses of the tokens; 0 for what is not. */
interface Gradients {
  readonly dx: Handle;
  readonly dWeight: Handle;
  /** Of all gradients, and of every token beside. */
  readonly scale: number;
  readonly factors: Handle;
}

const noGradients: Gradients = { dx: 0, dWeight: 0, scale: 1, factors: 0 };

/** Losses of every token, f32 `[N]`, and gradients of `scale · Σ factor · loss`. The logits are formed a few rows at a time, and
 *  become their gradients where they are. */
function crossEntropy(losses: Handle, [x, weight, targets]: Inputs, { dx, dWeight, scale, factors }: Gradients): void {
  const cuda = cudaOf(x);
  const dtype = fusedType(x);
  const [N, [V, C]] = [targets.size, weight.shape as [number, number]];
  const rows = rowsPerChunk(N, V);
  const bytes = bytesPerElement[dtype];
  const needsGradient = dx !== 0 || dWeight !== 0;
  const kept = needsGradient ? keptOf(cuda, V) : 0;
  const base = { dtype, residual: 0, count: 1, steps: [0, 0] } as const satisfies Partial<Product>;
  if (dWeight !== 0 && N === 0) cuda.fill(dWeight, 0, 4, V * C);
  cuda.withScratch(rows * V * bytesPerElement.f32, (logits) => {
    // Gradients of bf16 take the first half of each row of f32 logits.
    const gradients = { a: logits, rowStepA: V * (bytesPerElement.f32 / bytes) };
    for (let first = 0; first < N; first += rows) {
      const M = Math.min(rows, N - first);
      const some = x.handle + first * C * bytes;
      multiply(cuda, { ...base, y: logits, result: "f32", a: some, b: weight.handle, M, N: V, K: C, layout: "nt" });
      cuda.launch(
        rowsOf[dtype],
        { grid: [Math.min(M, BLOCKS_PER_MULTIPROCESSOR * cuda.chip.multiprocessors)], block: 512, shared: kept * bytesPerElement.f32 },
        logits, losses + 4 * first, targets.handle + 4 * first, factors === 0 ? 0 : factors + 4 * first,
        scale, cuda.fault, M, V, kept, Number(needsGradient),
      );
      if (dx !== 0) {
        const y = dx + first * C * bytes;
        multiply(cuda, { ...base, ...gradients, y, result: dtype, b: weight.handle, M, N: C, K: V, layout: "nn" });
      }
      if (dWeight !== 0) {
        const residual = first === 0 ? 0 : dWeight;
        multiply(cuda, {
          ...base, ...gradients, y: dWeight, residual, result: "f32", b: some, M: V, N: C, K: M, layout: "tn",
        });
      }
    }
  });
}

export const tokenLosses: KernelOf<typeof tokenLossesOp> = ([losses], x) => crossEntropy(losses.handle, x, noGradients);

export const tokenLossesGrad: KernelOf<typeof tokenLossesGradOp> = ([dx, dWeight], [g, ...x], { weightGradient }) => {
  cudaOf(dx).withScratch(g.size * bytesPerElement.f32, (losses) => {
    crossEntropy(losses, x, { dx: dx.handle, dWeight: weightGradient ? dWeight.handle : 0, scale: 1, factors: g.handle });
  });
};

export const linearCrossEntropy: KernelOf<typeof linearCrossEntropyOp> = ([total, dx, dWeight], x, { scale, weightGradient }) => {
  const cuda = cudaOf(total);
  const N = x[2].size;
  cuda.withScratch(N * bytesPerElement.f32, (losses) => {
    crossEntropy(losses, x, { dx: dx.handle, dWeight: weightGradient ? dWeight.handle : 0, scale, factors: 0 });
    cuda.launch(sumOf, { grid: [1], block: 1024 }, total.handle, losses, N, scale);
  });
};

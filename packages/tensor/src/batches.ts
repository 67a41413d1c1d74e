import { broadcastStrides, sameShape, sizeOf, stridesOf } from "./shape.ts";
import type { Tensor } from "./tensor.ts";

/** Products of a batched `matmul` whose matrices lie at even distances; all numbers count matrices. */
export interface MatmulBatch {
  readonly count: number;
  /** First matrix of the result, of a and of b. */
  readonly first: readonly [y: number, a: number, b: number];
  /** Steps from matrix to matrix in a and in b; 0 for the same one again. */
  readonly steps: readonly [a: number, b: number];
}

/** Groups of products whose operands lie at even distances: one group, unless leading axes broadcast against each other. */
export function matmulBatches(y: Tensor, a: Tensor, b: Tensor): MatmulBatch[] {
  const [shape, left, right] = [y, a, b].map((x) => x.shape.slice(0, -2)) as [number[], number[], number[]];
  const count = sizeOf(shape);
  const step = (own: number[]): number | null => (sameShape(own, shape) ? 1 : sizeOf(own) === 1 ? 0 : null);
  const [stepA, stepB] = [step(left), step(right)];
  if (stepA !== null && stepB !== null) return [{ count, first: [0, 0, 0], steps: [stepA, stepB] }];
  const own = stridesOf(shape);
  const offset = (i: number, strides: number[]): number => (
    shape.reduce((sum, n, axis) => sum + (Math.floor(i / own[axis]!) % n) * strides[axis]!, 0)
  );
  const [stridesA, stridesB] = [broadcastStrides(left, shape), broadcastStrides(right, shape)];
  return Array.from({ length: count }, (_, i) => (
    { count: 1, first: [i, offset(i, stridesA), offset(i, stridesB)] as const, steps: [0, 0] as const }
  ));
}

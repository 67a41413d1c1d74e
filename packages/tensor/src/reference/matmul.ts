import type { KernelOf } from "../op.ts";
import type { matmulOp } from "../ops/matmul.ts";
import { broadcastStrides } from "../shape.ts";
import { offsetsOf } from "./elementwise.ts";
import { load, store } from "./memory.ts";

export const matmulKernel: KernelOf<typeof matmulOp> = ([y], [a, b], { transposeA, transposeB }) => {
  const batch = y.shape.slice(0, -2);
  const [M, N] = y.shape.slice(-2) as [number, number];
  const K = a.shape.at(transposeA ? -2 : -1)!;
  const [left, right] = [load(a), load(b)];
  const leftBatches = offsetsOf(batch, broadcastStrides(a.shape.slice(0, -2), batch));
  const rightBatches = offsetsOf(batch, broadcastStrides(b.shape.slice(0, -2), batch));
  const [rowStep, leftStep] = transposeA ? [1, M] : [K, 1];
  const [rightStep, columnStep] = transposeB ? [1, K] : [N, 1];
  const result = new Float64Array(y.size);
  for (let p = 0; p < leftBatches.length; p++) {
    for (let m = 0; m < M; m++) {
      for (let n = 0; n < N; n++) {
        const u = leftBatches[p]! * M * K + m * rowStep;
        const v = rightBatches[p]! * K * N + n * columnStep;
        let total = 0;
        for (let k = 0; k < K; k++) total += left[u + k * leftStep]! * right[v + k * rightStep]!;
        result[(p * M + m) * N + n] = total;
      }
    }
  }
  store(y, result);
};

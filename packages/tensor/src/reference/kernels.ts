import type { PrimitiveKernels } from "../primitives.ts";
import { arithmetic, binary, loadBroadcast, unary } from "./elementwise.ts";
import { embeddingGradKernel, embeddingKernel } from "./embedding.ts";
import { matmulKernel } from "./matmul.ts";
import { load, store } from "./memory.ts";
import { assignSliceKernel, broadcastToKernel, concatKernel, padKernel, permuteKernel, sliceKernel } from "./movement.ts";
import { argmaxKernel, maxKernel, sumKernel } from "./reduce.ts";

/** The reference kernels: what each primitive means, in double precision. */
export const kernels: PrimitiveKernels = {
  fill: ([y], { value }) => store(y, new Float64Array(y.size).fill(value)),
  iota: ([y], { start, step }) => store(y, Float64Array.from({ length: y.size }, (_, i) => start + i * step)),
  assign: ([target, source]) => store(target, load(source)),
  assignSlice: assignSliceKernel,
  cast: ([y], [x]) => store(y, load(x)),
  add: arithmetic((a, b) => a + b),
  sub: arithmetic((a, b) => a - b),
  mul: arithmetic((a, b) => a * b, Math.imul),
  div: arithmetic((a, b) => a / b),
  maximum: binary(Math.max),
  minimum: binary(Math.min),
  less: binary((a, b) => Number(a < b)),
  lessEqual: binary((a, b) => Number(a <= b)),
  equal: binary((a, b) => Number(a === b)),
  where: ([y], [mask, a, b]) => {
    const [chosen, other] = [loadBroadcast(a, y.shape), loadBroadcast(b, y.shape)];
    store(y, loadBroadcast(mask, y.shape).map((m, i) => (m === 0 ? other : chosen)[i]!));
  },
  neg: unary((x) => -x),
  abs: unary(Math.abs),
  exp: unary(Math.exp),
  log: unary(Math.log),
  sqrt: unary(Math.sqrt),
  sin: unary(Math.sin),
  cos: unary(Math.cos),
  tanh: unary(Math.tanh),
  sigmoid: unary((x) => 1 / (1 + Math.exp(-x))),
  sum: sumKernel,
  max: maxKernel,
  argmax: argmaxKernel,
  permute: permuteKernel,
  slice: sliceKernel,
  pad: padKernel,
  concat: concatKernel,
  broadcastTo: broadcastToKernel,
  matmul: matmulKernel,
  embedding: embeddingKernel,
  embeddingGrad: embeddingGradKernel,
};

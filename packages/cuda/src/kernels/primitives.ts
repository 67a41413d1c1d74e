import { bytesPerElement, dtypes, movementKernels, type PrimitiveKernels } from "@danu/tensor";

import { cudaOf } from "../device.ts";
import { castInto } from "./primitives/cast.ts";
import { binary, broadcastToKernel, unary, whereKernel } from "./primitives/elementwise.ts";
import { embeddingGradKernel, embeddingKernel } from "./fused/embedding.ts";
import { kernelFamily } from "./families.ts";
import { flat } from "./flat.ts";
import { matmulKernel } from "./products/matmul.ts";
import { copy, fill } from "./primitives/movement.ts";
import { argmaxKernel, reduce } from "./primitives/reduce.ts";

const iotaKernels = kernelFamily("cast", "iota", "pddl", dtypes);

/** Kernels of the primitives. */
export const primitiveKernels: PrimitiveKernels = {
  fill: ([y], { value }) => fill(y, value),
  iota: ([y], { start, step }) => cudaOf(y).launch(iotaKernels[y.dtype], flat(y.size, 1), y.handle, start, step, y.size),
  assign: ([target, source]) => {
    if (target.dtype !== source.dtype) return castInto(target, source);
    return cudaOf(target).copy(target.handle, source.handle, target.size * bytesPerElement[target.dtype]);
  },
  cast: ([y], [x]) => castInto(y, x),
  add: binary("add"), sub: binary("sub"), mul: binary("mul"), div: binary("div"),
  maximum: binary("maximum"), minimum: binary("minimum"),
  less: binary("less"), lessEqual: binary("lessEqual"), equal: binary("equal"),
  where: whereKernel,
  neg: unary("neg"), abs: unary("abs"), exp: unary("exp"), log: unary("log"), sqrt: unary("sqrt"),
  sin: unary("sin"), cos: unary("cos"), tanh: unary("tanh"), sigmoid: unary("sigmoid"),
  sum: reduce("sum"), max: reduce("max"), argmax: argmaxKernel,
  ...movementKernels({ copy, fill }),
  // Reads a row that is stretched once.
  broadcastTo: broadcastToKernel,
  matmul: matmulKernel,
  embedding: embeddingKernel,
  embeddingGrad: embeddingGradKernel,
};

import type { KernelOf, PrimitiveKernels, Tensor } from "@danu/tensor";
import { encode, movementKernels, primitives } from "@danu/tensor";

import { codeOf, cpuOf, elementBytes } from "../device.ts";
import { binary, unary, whereKernel } from "./elementwise.ts";
import { matmulKernel } from "./matmul.ts";
import { copy } from "./movement.ts";
import { argmaxKernel, reduce } from "./reduce.ts";

/** Sets every element. */
function fill(y: Tensor, value: number): void {
  const cpu = cpuOf(y);
  const bytes = encode(y.dtype, [value]);
  const bits = bytes.reduce((word, byte, i) => word + byte * 2 ** (8 * i), 0);
  cpu.check("fill", cpu.library.fill(cpu.queue, y.handle, bits, bytes.length, y.size));
}

const castInto = (y: Tensor, x: Tensor): void => {
  const cpu = cpuOf(y);
  cpu.check("cast", cpu.library.cast(cpu.queue, y.handle, x.handle, y.size, codeOf(x.dtype), codeOf(y.dtype)));
};

const embedding: KernelOf<typeof primitives.embedding> = ([y], [ids, table]) => {
  const cpu = cpuOf(y);
  const [V, C] = table.shape as [number, number];
  cpu.check("embedding", cpu.library.embeddingForward(
    cpu.queue, y.handle, ids.handle, table.handle, ids.size, C, V, codeOf(table.dtype),
  ));
};

const embeddingGrad: KernelOf<typeof primitives.embeddingGrad> = ([y], [g, ids], { V }) => {
  const cpu = cpuOf(y);
  cpu.check("embeddingGrad", cpu.library.embeddingBackward(
    cpu.queue, y.handle, ids.handle, g.handle, ids.size, y.shape[1]!, V, codeOf(g.dtype),
  ));
};

/** Kernels of the primitives. */
export const primitiveKernels: PrimitiveKernels = {
  fill: ([y], { value }) => fill(y, value),
  iota: ([y], { start, step }) => {
    const cpu = cpuOf(y);
    cpu.check("iota", cpu.library.iota(cpu.queue, y.handle, y.size, start, step, codeOf(y.dtype)));
  },
  assign: ([target, source]) => {
    if (target.dtype !== source.dtype) return castInto(target, source);
    const cpu = cpuOf(target);
    return cpu.library.copy(cpu.queue, target.handle, source.handle, target.size * elementBytes(target));
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
  matmul: matmulKernel,
  embedding,
  embeddingGrad,
};

import { broadcastStrides, type BinaryOp, type KernelOf, type UnaryOp, type whereOp } from "@danu/tensor";

import { codeOf, cpuOf } from "../device.ts";

// The positions are the codes of the C ABI.
const unaryKinds = ["neg", "exp", "log", "sqrt", "rsqrt", "sin", "cos", "tanh", "sigmoid", "abs", "reciprocal"] as const;
const binaryKinds = ["add", "sub", "mul", "div", "maximum", "minimum", "equal", "less", "lessEqual"] as const;

/** Sizes as the C ABI takes them. */
export function words(values: readonly number[]): BigInt64Array {
  const all = new BigInt64Array(values.length);
  // Written half by half, since a BigInt for each would cost more than many a kernel.
  const halves = new Int32Array(all.buffer);
  values.forEach((value, i) => {
    halves[2 * i] = value;
    halves[2 * i + 1] = Math.floor(value / 2 ** 32);
  });
  return all;
}

export function unary(name: (typeof unaryKinds)[number]): KernelOf<UnaryOp> {
  const kind = unaryKinds.indexOf(name);
  return ([y], [x]) => {
    const cpu = cpuOf(y);
    cpu.check(name, cpu.library.unary(cpu.queue, y.handle, x.handle, kind, y.size, codeOf(x.dtype)));
  };
}

export function binary(name: (typeof binaryKinds)[number]): KernelOf<BinaryOp> {
  const kind = binaryKinds.indexOf(name);
  return ([y], [a, b]) => {
    const cpu = cpuOf(y);
    cpu.check(name, cpu.library.binary(
      cpu.queue, y.handle, a.handle, b.handle, kind, y.shape.length, words(y.shape),
      words(broadcastStrides(a.shape, y.shape)), words(broadcastStrides(b.shape, y.shape)), codeOf(a.dtype),
    ));
  };
}

export const whereKernel: KernelOf<typeof whereOp> = ([y], [mask, a, b]) => {
  const cpu = cpuOf(y);
  const [stridesMask, stridesA, stridesB] = [mask, a, b].map((x) => words(broadcastStrides(x.shape, y.shape))) as [
    BigInt64Array, BigInt64Array, BigInt64Array,
  ];
  cpu.check("where", cpu.library.where(
    cpu.queue, y.handle, mask.handle, a.handle, b.handle, y.shape.length, words(y.shape), stridesMask, stridesA, stridesB, codeOf(y.dtype),
  ));
};

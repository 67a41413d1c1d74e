import {
  broadcastStrides, bytesPerElement, dtypes, stridesOf,
  type BinaryOp, type broadcastToOp, type KernelOf, type Tensor, type UnaryOp, type whereOp,
} from "@danu/tensor";

import { cudaOf } from "../../device.ts";
import { elementBytes, floatTypes, kernelFamily, threads, type ElementBytes, type FloatType } from "../families.ts";
import { flat } from "../flat.ts";
import { axesOf, forWalks, walk1, walk2, walk3, walkArguments, type Axis } from "./walk.ts";

// The positions are the codes in elementwise.cu.
const unaryKinds = ["neg", "abs", "exp", "log", "sqrt", "sin", "cos", "tanh", "sigmoid"] as const;
const binaryKinds = ["add", "sub", "mul", "div", "maximum", "minimum", "equal", "less", "lessEqual"] as const;

const unaryKernels = kernelFamily("elementwise", "unary", "ppil", floatTypes);
const binaryKernels = kernelFamily("elementwise", "binary", `pppi${walk2}`, dtypes);
const whereKernels = kernelFamily("elementwise", "where", `pppp${walk3}`, elementBytes);
const stretchKernels = kernelFamily("elementwise", "stretch", `pp${walk1}`, elementBytes);

export function unary(name: (typeof unaryKinds)[number]): KernelOf<UnaryOp> {
  const kind = unaryKinds.indexOf(name);
  return ([y], [x]) => cudaOf(y).launch(unaryKernels[x.dtype as FloatType], flat(y.size, x.dtype === "f32" ? 4 : 8), y.handle, x.handle, kind, y.size);
}

/** What a launch over the result of a broadcast needs: addresses, the axes, and what may be accessed 16 bytes at a time. */
interface Part {
  readonly grid: readonly [number];
  readonly y: number;
  readonly x: readonly number[];
  readonly axes: readonly Axis[];
  readonly wide: number;
}

/** Calls `launch` for a result and the operands that broadcast to it. Operands are of the type of the last. */
function forParts(y: Tensor, operands: readonly Tensor[], launch: (part: Part) => void): void {
  if (y.size === 0) return;
  const neighbours = 16 / bytesPerElement[operands.at(-1)!.dtype];
  const all = axesOf(y.shape, [stridesOf(y.shape), ...operands.map((x) => broadcastStrides(x.shape, y.shape))]);
  const [inner, ...outer] = all as [Axis, ...Axis[]];
  const startsEvenly = (k: number): boolean => outer.every(({ steps }) => steps[k]! % neighbours === 0);
  const wide = operands.reduce((bits, _, k) => bits + (inner.steps[k + 1] === 1 && startsEvenly(k + 1) ? 2 ** k : 0), 0)
    + (startsEvenly(0) ? 2 ** operands.length : 0);
  forWalks(all, (axes, starts) => {
    const rows = axes.slice(1).reduce((product, { size }) => product * size, 1);
    const at = (tensor: Tensor, k: number): number => tensor.handle + starts[k]! * bytesPerElement[tensor.dtype];
    launch({
      grid: [Math.ceil((rows * Math.ceil(inner.size / neighbours)) / threads)],
      y: at(y, 0), x: operands.map((x, k) => at(x, k + 1)), axes, wide,
    });
  });
}

export function binary(name: (typeof binaryKinds)[number]): KernelOf<BinaryOp> {
  const kind = binaryKinds.indexOf(name);
  return ([y], [a, b]) => forParts(y, [a, b], ({ grid, y: to, x, axes, wide }) => {
    cudaOf(y).launch(binaryKernels[a.dtype], { grid, block: threads }, to, x[0]!, x[1]!, kind, ...walkArguments(axes, [1, 2], wide));
  });
}

export const whereKernel: KernelOf<typeof whereOp> = ([y], [mask, a, b]) => {
  forParts(y, [mask, a, b], ({ grid, y: to, x, axes, wide }) => {
    const kernel = whereKernels[bytesPerElement[a.dtype] as ElementBytes];
    cudaOf(y).launch(kernel, { grid, block: threads }, to, x[0]!, x[1]!, x[2]!, ...walkArguments(axes, [1, 2, 3], wide));
  });
};

export const broadcastToKernel: KernelOf<typeof broadcastToOp> = ([y], [x]) => forParts(y, [x], ({ grid, y: to, x: [from], axes, wide }) => {
  const kernel = stretchKernels[bytesPerElement[x.dtype] as ElementBytes];
  cudaOf(y).launch(kernel, { grid, block: threads }, to, from!, ...walkArguments(axes, [1], wide));
});

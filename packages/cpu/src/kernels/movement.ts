import {
  broadcastStrides, sizeOf, stridesOf,
  type assignSliceOp, type broadcastToOp, type concatOp, type KernelOf, type padOp, type permuteOp, type Shape, type sliceOp, type Tensor,
} from "@danu/tensor";

import { cpuOf, elementBytes } from "../device.ts";
import { words } from "./elementwise.ts";
import { fill } from "./primitives.ts";

/** Where a copy reads or writes: steps along every axis of the copied block, and its first element. */
interface Place {
  readonly tensor: Tensor;
  readonly strides: readonly number[];
  readonly offset?: number;
}

/** Copies a block of `shape`; every movement op is one or more of these. */
function copy(to: Place, from: Place, shape: Shape): void {
  const cpu = cpuOf(to.tensor);
  if (isDense(to.strides, shape) && isDense(from.strides, shape)) {
    const each = elementBytes(to.tensor);
    const address = ({ tensor, offset = 0 }: Place): number => tensor.handle + offset * each;
    return cpu.library.copy(cpu.queue, address(to), address(from), sizeOf(shape) * each);
  }
  cpu.check("copy", cpu.library.stridedCopy(
    cpu.queue, to.tensor.handle, from.tensor.handle, shape.length, words(shape), words(to.strides), words(from.strides),
    to.offset ?? 0, from.offset ?? 0, elementBytes(to.tensor),
  ));
}

/** Whether a block lies in one piece, row-major: tokens added to a cache, one of a batch. */
function isDense(strides: readonly number[], shape: Shape): boolean {
  let step = 1;
  for (let axis = shape.length - 1; axis >= 0; axis--) {
    if (shape[axis] !== 1 && strides[axis] !== step) return false;
    step *= shape[axis]!;
  }
  return true;
}

/** The whole of a tensor. */
function all(tensor: Tensor): Place {
  return { tensor, strides: stridesOf(tensor.shape) };
}

/** A tensor from index `start` of one axis on. */
function from(tensor: Tensor, axis: number, start: number): Place {
  const strides = stridesOf(tensor.shape);
  return { tensor, strides, offset: start * strides[axis]! };
}

export const permuteKernel: KernelOf<typeof permuteOp> = ([y], [x], { axes }) => {
  const strides = stridesOf(x.shape);
  copy(all(y), { tensor: x, strides: axes.map((axis) => strides.at(axis)!) }, y.shape);
};

export const broadcastToKernel: KernelOf<typeof broadcastToOp> = ([y], [x]) => (
  copy(all(y), { tensor: x, strides: broadcastStrides(x.shape, y.shape) }, y.shape)
);

export const sliceKernel: KernelOf<typeof sliceOp> = ([y], [x], { axis, start }) => copy(all(y), from(x, axis, start), y.shape);

export const assignSliceKernel: KernelOf<typeof assignSliceOp> = ([target, source], { axis, start }) => (
  copy(from(target, axis, start), all(source), source.shape)
);

export const padKernel: KernelOf<typeof padOp> = ([y], [x], { axis, before }) => {
  fill(y, 0);
  copy(from(y, axis, before), all(x), x.shape);
};

export const concatKernel: KernelOf<typeof concatOp> = ([y], parts, { axis }) => {
  let start = 0;
  for (const part of parts) {
    copy(from(y, axis, start), all(part), part.shape);
    start += part.shape[axis]!;
  }
};

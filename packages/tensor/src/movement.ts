import type { PrimitiveKernels } from "./primitives.ts";
import { broadcastStrides, stridesOf, type Shape } from "./shape.ts";
import type { Tensor } from "./tensor.ts";

/** Where a copy reads or writes: steps along every axis of the copied block, and its first element, in elements. */
export interface Place {
  readonly tensor: Tensor;
  readonly strides: readonly number[];
  readonly offset?: number;
}

/** What moving elements takes of a device. */
export interface Movement {
  /** Copies a block of `shape` from one place to another of the same element type. */
  copy(to: Place, from: Place, shape: Shape): void;
  /** Sets every element. */
  fill(y: Tensor, value: number): void;
}

/** The primitives that only move elements, as copies of blocks: a device that can copy a block has them all. */
export function movementKernels(
  { copy, fill }: Movement,
): Pick<PrimitiveKernels, "permute" | "broadcastTo" | "slice" | "assignSlice" | "pad" | "concat"> {
  return {
    permute: ([y], [x], { axes }) => {
      const strides = stridesOf(x.shape);
      copy(all(y), { tensor: x, strides: axes.map((axis) => strides.at(axis)!) }, y.shape);
    },
    broadcastTo: ([y], [x]) => copy(all(y), { tensor: x, strides: broadcastStrides(x.shape, y.shape) }, y.shape),
    slice: ([y], [x], { axis, start }) => copy(all(y), from(x, axis, start), y.shape),
    assignSlice: ([target, source], { axis, start }) => copy(from(target, axis, start), all(source), source.shape),
    pad: ([y], [x], { axis, before }) => {
      fill(y, 0);
      copy(from(y, axis, before), all(x), x.shape);
    },
    concat: ([y], parts, { axis }) => {
      let start = 0;
      for (const part of parts) {
        copy(from(y, axis, start), all(part), part.shape);
        start += part.shape[axis]!;
      }
    },
  };
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

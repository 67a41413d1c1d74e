import { sizeOf, type Place, type Shape } from "@danu/tensor";

import { cpuOf, elementBytes } from "../device.ts";
import { words } from "./elementwise.ts";

/** Copies a block of `shape`. */
export function copy(to: Place, from: Place, shape: Shape): void {
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

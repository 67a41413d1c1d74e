import type { Values } from "../dtype.ts";
import type { Tensor } from "../tensor.ts";
import type { ReferenceDevice } from "./device.ts";

/** The elements of a reference tensor; not to be written to. */
export function load(x: Tensor): Values {
  return (x.device as ReferenceDevice).load(x);
}

/** Writes the elements of a reference tensor, rounding them to its dtype. */
export function store(y: Tensor, values: ArrayLike<number>): void {
  (y.device as ReferenceDevice).store(y, values);
}

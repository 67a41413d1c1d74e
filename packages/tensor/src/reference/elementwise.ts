import { isFloat } from "../dtype.ts";
import type { KernelOf } from "../op.ts";
import type { BinaryOp, UnaryOp } from "../ops/elementwise.ts";
import { broadcastStrides, sizeOf, stridesOf, type Shape } from "../shape.ts";
import type { Tensor } from "../tensor.ts";
import { load, store } from "./memory.ts";

/** For every element of `shape` in row-major order, its offset under the given strides. */
export function offsetsOf(shape: Shape, strides: readonly number[]): Int32Array | Float64Array {
  const offsets = new Float64Array(sizeOf(shape));
  const own = stridesOf(shape);
  for (let i = 0; i < offsets.length; i++) {
    let offset = 0;
    for (let axis = 0; axis < shape.length; axis++) offset += (Math.floor(i / own[axis]!) % shape[axis]!) * strides[axis]!;
    offsets[i] = offset;
  }
  return offsets;
}

/** Elements of an operand as if stretched to `shape`. */
export function loadBroadcast(x: Tensor, shape: Shape): Float64Array {
  const values = load(x);
  return Float64Array.from(offsetsOf(shape, broadcastStrides(x.shape, shape)), (offset) => values[offset]!);
}

export function unary(f: (x: number) => number): KernelOf<UnaryOp> {
  return ([y], [x]) => store(y, Float64Array.from(load(x), f));
}

export function binary(f: (a: number, b: number) => number): KernelOf<BinaryOp> {
  return ([y], [a, b]) => {
    const right = loadBroadcast(b, y.shape);
    store(y, loadBroadcast(a, y.shape).map((left, i) => f(left, right[i]!)));
  };
}

/** Integers wrap around like the hardware's; division truncates, and by 0 gives 0.
 *  @param exact the same for integers, where doubles would lose low bits */
export function arithmetic(f: (a: number, b: number) => number, exact: (a: number, b: number) => number = f): KernelOf<BinaryOp> {
  const integers = binary((a, b) => wrap(exact(a, b)));
  const bytes = binary((a, b) => wrap(exact(a, b)) & 255);
  const floats = binary(f);
  return (y, x) => (isFloat(x[0].dtype) ? floats : x[0].dtype === "u8" ? bytes : integers)(y, x, null);
}

function wrap(x: number): number {
  return Number.isFinite(x) ? Number(BigInt.asIntN(32, BigInt(Math.trunc(x)))) : 0;
}

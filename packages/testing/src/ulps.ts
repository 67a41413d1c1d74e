import { encode, isFloat, type DType } from "@danu/tensor";

/** Position of every value among all values of its dtype, in ascending order: neighbours differ by 1, ±0 are equal.
 *  Values are first rounded to the dtype; NaN has no meaningful position. */
export function ordinals(dtype: DType, values: ArrayLike<number>): Float64Array {
  const bytes = encode(dtype, values);
  const width = bytes.byteLength / Math.max(values.length, 1);
  if (!isFloat(dtype)) return Float64Array.from(dtype === "i32" ? new Int32Array(bytes.buffer) : bytes);
  const bits = width === 4 ? new Uint32Array(bytes.buffer) : width === 2 ? new Uint16Array(bytes.buffer) : bytes;
  const signBit = 2 ** (8 * width - 1);
  return Float64Array.from(bits, (code) => (code >= signBit ? -(code - signBit) : code));
}

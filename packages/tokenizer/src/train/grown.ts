type NumberArray = Uint8Array | Uint16Array | Uint32Array | Int32Array | Float64Array;

/** Room of an array that grows: little, because code is optimised for what happened to it before, and growing late in a
 *  hot loop would throw that away. */
export const FIRST_ROOM = 16;

/** A copy of `array` with room for `length` numbers, or `array` itself if it has it. */
export function grown<A extends NumberArray>(array: A, length: number): A {
  if (array.length >= length) return array;
  const larger = new (array.constructor as new (length: number) => A)(length);
  larger.set(array);
  return larger;
}

/** A multiplier for hashes modulo 2^32 that no text can be prepared for. It decides nothing but places in a table, so
 *  results do not depend on it. */
export function randomMultiplier(): number {
  return Math.floor(Math.random() * 2 ** 28) * 8 + 5;
}

import {
  decode,
  encode,
  isFloat,
  sizeOf,
  tensor,
  type Device,
  type DType,
  type Shape,
  type Tensor,
} from "@danu/tensor";

import { normal, randomSource } from "./random.ts";

/** A tensor before it is put on a device; every value is one that its dtype can hold. */
export interface HostTensor {
  readonly shape: Shape;
  readonly dtype: DType;
  readonly values: readonly number[];
}

/** Which numbers fill a tensor: `moderate` ones around 1 and some zeros, `wide` ones from 1e-18 to 1e18, `positive`
 *  ones of wide range, or `adversarial` ones: NaN, ±0, ±∞, largest, smallest, subnormal, ties of rounding. */
export type Palette = "moderate" | "wide" | "positive" | "adversarial";

const subtleFloats: readonly number[] = [
  NaN, 0, -0, Infinity, -Infinity, 1, -1, 1e38, -1e38, 3.4028234663852886e38, -3.4028234663852886e38, 1e-38, -1e-38,
  2 ** -126, 2 ** -133, 2 ** -149, -(2 ** -149), 65504, 65520, 448, 464, 57344, 61440, 2 ** -9, 2 ** -10, 2 ** -14,
  2 ** -16, 2 ** -17, 2 ** -24, 2 ** -25, 1 + 2 ** -23, 1 - 2 ** -24, 255.5, -0.5, 0.5, 1.5, 2.5, 88.5, -88.5, -104,
  127, 2147483648, -2147483904,
  // Halfway between neighbours of bf16, f16, e4m3 and e5m2, below and above an even one.
  1 + 2 ** -8, 1 + 3 * 2 ** -8, 1 + 2 ** -8 + 2 ** -23, 1 + 2 ** -8 - 2 ** -23, 1 + 2 ** -11, 1 + 3 * 2 ** -11,
  1.0625, 1.1875, 1.125, 1.375, -1.0625, -1.125,
];
const subtleIntegers: readonly number[] = [
  0, 1, -1, 2, 127, 128, 255, 256, 2 ** 24 + 1, 2 ** 24 + 3, -(2 ** 24) - 1, 65537, 46341,
  2 ** 31 - 1, -(2 ** 31), -(2 ** 31) + 1,
];

/** The values an implementation of `dtype` is likeliest to get wrong, rounded to it. */
export function subtleValues(dtype: DType): readonly number[] {
  return rounded(dtype, isFloat(dtype) ? subtleFloats : subtleIntegers);
}

/** The nearest values that `dtype` can hold. */
export function rounded(dtype: DType, values: ArrayLike<number>): number[] {
  return Array.from(decode(dtype, encode(dtype, values)));
}

/** A tensor filled from a seed: the same arguments give the same values. */
export function hostTensor(dtype: DType, shape: Shape, seed: number, palette: Palette = "moderate"): HostTensor {
  const random = randomSource(seed);
  const subtle = subtleValues(dtype);
  const draw = (): number => {
    if (palette === "adversarial" && random() < 0.6) return subtle[Math.floor(random() * subtle.length)]!;
    if (!isFloat(dtype)) return dtype === "u8" ? Math.floor(random() * 256) : Math.floor(random() * 201) - 100;
    if (palette === "wide" || palette === "positive") {
      const size = 10 ** (random() * 36 - 18);
      return palette === "wide" && random() < 0.5 ? -size : size;
    }
    return random() < 0.05 ? 0 : normal(random);
  };
  return { shape, dtype, values: rounded(dtype, Array.from({ length: sizeOf(shape) }, draw)) };
}

/** A tensor of integers in `[0, bound)`, such as ids and masks. */
export function hostIntegers(dtype: "i32" | "u8", shape: Shape, seed: number, bound: number): HostTensor {
  const random = randomSource(seed);
  return { shape, dtype, values: Array.from({ length: sizeOf(shape) }, () => Math.floor(random() * bound)) };
}

/** Puts the values on a device, in their own dtype unless another is given. */
export function upload(device: Device, x: HostTensor, dtype: DType = x.dtype): Tensor {
  return tensor(device, x.values, x.shape, dtype);
}

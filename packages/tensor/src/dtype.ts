/** Element types: IEEE f32 and f16, bfloat16, OCP 8-bit floats, 32-bit integers and bytes. */
export type DType = "f32" | "bf16" | "f16" | "f8e4m3" | "f8e5m2" | "i32" | "u8";

/** Every element type; the index of one is its code at native boundaries. */
export const dtypes: readonly DType[] = ["f32", "bf16", "f16", "f8e4m3", "f8e5m2", "i32", "u8"];

/** Bytes of one element. */
export const bytesPerElement: Readonly<Record<DType, number>> = {
  f32: 4, bf16: 2, f16: 2, f8e4m3: 1, f8e5m2: 1, i32: 4, u8: 1,
};

/** Host values of a tensor: Float32Array for every float type (Float64Array on an f64 reference device). */
export type Values = Float32Array | Float64Array | Int32Array | Uint8Array;

/** True for the types that carry gradients. */
export function isFloat(dtype: DType): boolean {
  return dtype !== "i32" && dtype !== "u8";
}

const f32 = new Float32Array(1);
const u32 = new Uint32Array(f32.buffer);

interface MiniFloat {
  readonly exponentBits: number;
  readonly mantissaBits: number;
  /** OCP e4m3 "fn": no infinity, one NaN pattern, overflow saturates. */
  readonly finiteOnly: boolean;
}

const miniFloats = {
  f16: { exponentBits: 5, mantissaBits: 10, finiteOnly: false },
  f8e4m3: { exponentBits: 4, mantissaBits: 3, finiteOnly: true },
  f8e5m2: { exponentBits: 5, mantissaBits: 2, finiteOnly: false },
} as const satisfies Partial<Record<DType, MiniFloat>>;

/** Bits of the bfloat16 nearest to `x`, ties to even; NaN stays a quiet NaN. */
function bf16FromNumber(x: number): number {
  f32[0] = x;
  const bits = u32[0]!;
  if ((bits & 0x7fffffff) > 0x7f800000) return (bits >>> 16) | 0x40;
  return ((bits + 0x7fff + ((bits >>> 16) & 1)) >>> 16) & 0xffff;
}

/** Value of a bfloat16 bit pattern. */
function bf16ToNumber(bits: number): number {
  u32[0] = bits << 16;
  return f32[0]!;
}

function miniFromNumber(format: MiniFloat, x: number): number {
  const { exponentBits, mantissaBits, finiteOnly } = format;
  const bias = 2 ** (exponentBits - 1) - 1;
  const topExponent = 2 ** exponentBits - 1;
  const sign = (x < 0 || Object.is(x, -0) ? 1 : 0) << (exponentBits + mantissaBits);
  const infinity = sign | (topExponent << mantissaBits);
  const nan = finiteOnly ? sign | (2 ** (exponentBits + mantissaBits) - 1) : infinity | (1 << (mantissaBits - 1));
  if (Number.isNaN(x)) return nan;
  const magnitude = Math.min(Math.abs(x), Number.MAX_VALUE);
  const largest = finiteOnly
    ? 2 ** (topExponent - bias) * (2 - 2 ** (1 - mantissaBits))
    : 2 ** (topExponent - 1 - bias) * (2 - 2 ** -mantissaBits);
  // Below the smallest normal number the spacing stays that of the lowest exponent.
  const exponent = magnitude === 0 ? 1 - bias : Math.max(exponentOf(magnitude), 1 - bias);
  const step = 2 ** (exponent - mantissaBits);
  const rounded = roundHalfEven(magnitude / step) * step;
  if (rounded > largest) return finiteOnly ? sign | (2 ** (exponentBits + mantissaBits) - 2) : infinity;
  if (rounded < 2 ** (1 - bias)) return sign | Math.round(rounded / 2 ** (1 - bias - mantissaBits));
  const finalExponent = exponentOf(rounded);
  const mantissa = Math.round((rounded / 2 ** finalExponent - 1) * 2 ** mantissaBits);
  return sign | ((finalExponent + bias) << mantissaBits) | mantissa;
}

function exponentOf(x: number): number {
  const guess = Math.floor(Math.log2(x));
  if (2 ** guess > x) return guess - 1;
  return 2 ** (guess + 1) <= x ? guess + 1 : guess;
}

function roundHalfEven(x: number): number {
  const low = Math.floor(x);
  const rest = x - low;
  if (rest !== 0.5) return Math.round(x);
  return low % 2 === 0 ? low : low + 1;
}

function miniToNumber(format: MiniFloat, bits: number): number {
  const { exponentBits, mantissaBits, finiteOnly } = format;
  const bias = 2 ** (exponentBits - 1) - 1;
  const exponent = (bits >>> mantissaBits) & (2 ** exponentBits - 1);
  const mantissa = bits & (2 ** mantissaBits - 1);
  const sign = bits >>> (exponentBits + mantissaBits) ? -1 : 1;
  const top = exponent === 2 ** exponentBits - 1;
  if (top && finiteOnly && mantissa === 2 ** mantissaBits - 1) return NaN;
  if (top && !finiteOnly) return mantissa === 0 ? sign * Infinity : NaN;
  if (exponent === 0) return sign * mantissa * 2 ** (1 - bias - mantissaBits);
  return sign * (1 + mantissa * 2 ** -mantissaBits) * 2 ** (exponent - bias);
}

/** Integer nearest below in magnitude, saturated to the range of the type; NaN gives 0. */
function integerFromNumber(x: number, low: number, high: number): number {
  return Number.isNaN(x) ? 0 : Math.min(high, Math.max(low, Math.trunc(x)));
}

/** Encodes numbers as the little-endian bytes of `dtype`, rounding to nearest, ties to even; e4m3 and integers saturate. */
export function encode(dtype: DType, values: ArrayLike<number>): Uint8Array {
  const n = values.length;
  switch (dtype) {
    // From typed arrays constructors copy memory, where `from` would take one number after another.
    case "f32": return bytesOf(new Float32Array(values));
    case "i32": return bytesOf(values instanceof Int32Array ? new Int32Array(values) : Int32Array.from(values, (x) => integerFromNumber(x, -(2 ** 31), 2 ** 31 - 1)));
    case "u8": return Uint8Array.from(values, (x) => integerFromNumber(x, 0, 255));
    case "bf16": return bytesOf(Uint16Array.from(values, bf16FromNumber));
    case "f16": return bytesOf(Uint16Array.from(values, (x) => miniFromNumber(miniFloats.f16, Math.fround(x))));
    default: {
      const y = new Uint8Array(n);
      for (let i = 0; i < n; i++) y[i] = miniFromNumber(miniFloats[dtype], Math.fround(values[i]!));
      return y;
    }
  }
}

/** Decodes the bytes of `dtype` into numbers; a view of the same memory where no conversion is needed. */
export function decode(dtype: DType, bytes: Uint8Array): Values {
  const aligned = bytes.byteOffset % bytesPerElement[dtype] === 0 ? bytes : bytes.slice();
  const { buffer, byteOffset, byteLength } = aligned;
  switch (dtype) {
    case "f32": return new Float32Array(buffer, byteOffset, byteLength / 4);
    case "i32": return new Int32Array(buffer, byteOffset, byteLength / 4);
    case "u8": return aligned;
    case "bf16": return Float32Array.from(new Uint16Array(buffer, byteOffset, byteLength / 2), bf16ToNumber);
    case "f16": return mapMini(miniFloats.f16, new Uint16Array(buffer, byteOffset, byteLength / 2));
    default: return mapMini(miniFloats[dtype], aligned);
  }
}

function mapMini(format: MiniFloat, bits: ArrayLike<number>): Float32Array {
  return Float32Array.from(bits, (b) => miniToNumber(format, b));
}

function bytesOf(view: ArrayBufferView): Uint8Array {
  return new Uint8Array(view.buffer, view.byteOffset, view.byteLength);
}

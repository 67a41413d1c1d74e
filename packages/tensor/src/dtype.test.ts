import { goldenConversions, goldenDecoded, ordinals, times } from "@danu/testing";
import fc from "fast-check";
import { describe, expect, test } from "vitest";

import { bytesPerElement, decode, dtypes, encode, isFloat, type DType } from "./dtype.ts";

const narrow = ["bf16", "f16", "f8e4m3", "f8e5m2"] as const;

/** Every bit pattern of a type, as bytes. */
function allCodes(dtype: DType): Uint8Array {
  if (bytesPerElement[dtype] === 1) return Uint8Array.from({ length: 256 }, (_, code) => code);
  return new Uint8Array(Uint16Array.from({ length: 65536 }, (_, code) => code).buffer);
}

function codes(dtype: DType, bytes: Uint8Array): Uint8Array | Uint16Array {
  return bytesPerElement[dtype] === 1 ? bytes : new Uint16Array(bytes.buffer, bytes.byteOffset, bytes.byteLength / 2);
}

function fromBits(bits: number): number {
  return new Float32Array(Uint32Array.of(bits).buffer)[0]!;
}

describe.each(narrow)("%s", (dtype) => {
  test("every bit pattern survives decoding and encoding; NaN stays NaN", () => {
    const all = codes(dtype, allCodes(dtype));
    const values = decode(dtype, allCodes(dtype));
    const again = codes(dtype, encode(dtype, values));
    const lost = [...all.keys()].filter((i) => !Number.isNaN(values[i]!) && again[i] !== all[i]);
    expect(lost).toEqual([]);
    expect(decode(dtype, encode(dtype, [NaN]))[0]).toBeNaN();
  });

  test("rounds to the nearest neighbour, and a tie to the even one", () => {
    const half = codes(dtype, allCodes(dtype)).length / 2;
    const values = decode(dtype, allCodes(dtype)).subarray(0, half);
    const finite = values.findIndex((value) => !Number.isFinite(value));
    const between = (share: number): number[] => (
      Array.from({ length: finite - 1 }, (_, i) => values[i]! + (values[i + 1]! - values[i]!) * share)
    );
    const lower = Array.from({ length: finite - 1 }, (_, i) => i);
    const even = lower.map((code) => (code % 2 === 0 ? code : code + 1));
    expect([...codes(dtype, encode(dtype, between(0.25)))]).toEqual(lower);
    expect([...codes(dtype, encode(dtype, between(0.75)))]).toEqual(lower.map((code) => code + 1));
    expect([...codes(dtype, encode(dtype, between(0.5)))]).toEqual(even);
    expect([...codes(dtype, encode(dtype, between(0.5).map((x) => -x)))]).toEqual(even.map((code) => code + half));
  });

  test("equals torch's casts", () => {
    const wrong = goldenConversions().filter((row) => {
      const value = fromBits(row.f32);
      const code = codes(dtype, encode(dtype, [value]))[0]!;
      return Number.isNaN(value) ? !Number.isNaN(decode(dtype, encode(dtype, [value]))[0]!) : code !== row[dtype];
    });
    expect(wrong).toEqual([]);
  });
});

test.each(["f8e4m3", "f8e5m2"] as const)("every code of %s has the value torch gives it", (dtype) => {
  expect(Array.from(decode(dtype, allCodes(dtype)))).toEqual(goldenDecoded(dtype).map(fromBits));
});

test("overflow saturates where there is no infinity and becomes infinite elsewhere", () => {
  const large = [1e38, -1e38, Infinity, -Infinity];
  expect([...decode("f8e4m3", encode("f8e4m3", large))]).toEqual([448, -448, 448, -448]);
  for (const dtype of ["f16", "f8e5m2"] as const) {
    expect([...decode(dtype, encode(dtype, large))]).toEqual([Infinity, -Infinity, Infinity, -Infinity]);
  }
  expect(decode("bf16", encode("bf16", [3.4028234663852886e38]))[0]).toBe(Infinity);
});

test("integers truncate toward zero, saturate, and turn NaN into 0", () => {
  expect([...decode("i32", encode("i32", [2.9, -2.9, 1e38, -Infinity, NaN]))]).toEqual([
    2,
    -2,
    2 ** 31 - 1,
    -(2 ** 31),
    0,
  ]);
  expect([...decode("u8", encode("u8", [2.9, -2.9, 256, Infinity, NaN]))]).toEqual([2, 0, 255, 255, 0]);
});

test("bytes at any offset decode, and as many come out as go in", () => {
  fc.assert(
    fc.property(
      fc.constantFrom(...dtypes),
      fc.array(fc.double({ noNaN: true }), { maxLength: 20 }),
      fc.nat({ max: 3 }),
      (dtype, values, shift) => {
        const bytes = encode(dtype, values);
        expect(bytes.byteLength).toBe(values.length * bytesPerElement[dtype]);
        const moved = new Uint8Array(bytes.byteLength + shift);
        moved.set(bytes, shift);
        expect([...decode(dtype, moved.subarray(shift))]).toEqual([...decode(dtype, bytes)]);
      }
    ),
    times(100)
  );
});

test("rounding keeps the order of numbers", () => {
  fc.assert(
    fc.property(
      fc.constantFrom(...dtypes.filter(isFloat)),
      fc.float({ noNaN: true }),
      fc.float({ noNaN: true }),
      (dtype, a, b) => {
        const [low, high] = ordinals(dtype, [Math.min(a, b), Math.max(a, b)]);
        expect(low).toBeLessThanOrEqual(high!);
      }
    ),
    times(300)
  );
});

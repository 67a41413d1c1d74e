import type { DType } from "@danu/tensor";

/** Bits of one element of every element type of the format, in the format's own order of rising alignment. */
const bits = {
  BOOL: 8,
  F4: 4,
  F6_E2M3: 6,
  F6_E3M2: 6,
  U8: 8,
  I8: 8,
  F8_E5M2: 8,
  F8_E4M3: 8,
  F8_E8M0: 8,
  F8_E4M3FNUZ: 8,
  F8_E5M2FNUZ: 8,
  I16: 16,
  U16: 16,
  F16: 16,
  BF16: 16,
  I32: 32,
  U32: 32,
  F32: 32,
  C64: 64,
  F64: 64,
  I64: 64,
  U64: 64,
} as const;

/** Name of an element type on disk. */
export type SafetensorsDType = keyof typeof bits;

/** Every element type a file may hold; writers put later ones first, so that all stay aligned. */
export const safetensorsDTypes: readonly SafetensorsDType[] = Object.keys(bits) as SafetensorsDType[];

const onDisk: Readonly<Record<DType, SafetensorsDType>> = {
  f32: "F32", bf16: "BF16", f16: "F16", f8e4m3: "F8_E4M3", f8e5m2: "F8_E5M2", i32: "I32", u8: "U8",
};
const inMemory = new Map(Object.entries(onDisk).map(([dtype, name]) => [name, dtype as DType]));

/** True for the name of an element type of the format. */
export function isSafetensorsDType(name: unknown): name is SafetensorsDType {
  return typeof name === "string" && Object.hasOwn(bits, name);
}

/** Name on disk of a danu element type. */
export function toSafetensorsDType(dtype: DType): SafetensorsDType {
  return onDisk[dtype];
}

/** danu's element type for a name on disk; `undefined` for those that danu has no type for, as I64. */
export function fromSafetensorsDType(name: SafetensorsDType): DType | undefined {
  return inMemory.get(name);
}

/** Bits of one element. */
export function bitsPerElement(name: SafetensorsDType): number {
  return bits[name];
}

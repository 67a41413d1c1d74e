import type { Handle } from "@danu/tensor";
import koffi from "koffi";

import type { Driver } from "./driver.ts";

/** What the copy engine needs to know of a tensor in device memory, as the driver encodes it. */
export interface TensorMap {
  readonly bytes: Uint8Array;
}

/** A row-major tensor and the boxes that are copied of it; the first of each list is the innermost dimension. */
export interface TensorMapSpec {
  readonly base: Handle;
  readonly dtype: "bf16" | "f32" | "u8";
  /** Elements of every dimension, two or three. */
  readonly sizes: readonly number[];
  /** Bytes from one row to the next, then from one plane to the next; multiples of 16. */
  readonly strides: readonly number[];
  /** Elements of a box. */
  readonly box: readonly number[];
}

// Codes of cuda.h: CUtensorMapDataType, CUtensorMapSwizzle, CUtensorMapL2promotion.
const dtypeCodes = { u8: 0, f32: 7, bf16: 9 } as const;
const SWIZZLE_128B = 3;
const L2_PROMOTION_256B = 3;

/** Tensor maps, made once for each tensor and box and kept until there are many: buffers come back at the same addresses. */
export class TensorMaps {
  readonly #driver: Driver;
  readonly #known = new Map<string, TensorMap>();

  constructor(driver: Driver) {
    this.#driver = driver;
  }

  /** @throws DeviceError where the copy engine cannot read such a tensor */
  of({ base, dtype, sizes, strides, box }: TensorMapSpec): TensorMap {
    const key = `${base} ${dtype} ${sizes.join()} ${strides.join()} ${box.join()}`;
    const known = this.#known.get(key);
    if (known !== undefined) return known;
    // An encoded map is aligned to 64 bytes; the driver checks it.
    const memory = aligned(128, 64);
    const words = (values: readonly number[]): BigUint64Array => {
      const list = new BigUint64Array(new ArrayBuffer(256), 0, 8);
      values.forEach((value, i) => (list[i] = BigInt(value)));
      return list;
    };
    const halves = (values: readonly number[]): Uint32Array => {
      const list = new Uint32Array(new ArrayBuffer(256), 0, 8);
      list.set(values);
      return list;
    };
    this.#driver.check("cuTensorMapEncodeTiled", this.#driver.functions.TensorMapEncodeTiled(
      memory, dtypeCodes[dtype], sizes.length, base, words(sizes), words(strides), halves(box), halves(box.map(() => 1)),
      0, SWIZZLE_128B, L2_PROMOTION_256B, 0,
    ));
    const map = { bytes: memory };
    if (this.#known.size >= 65_536) this.#known.clear();
    this.#known.set(key, map);
    return map;
  }
}

function aligned(bytes: number, alignment: number): Uint8Array {
  const memory = new ArrayBuffer(bytes + alignment);
  const address = Number(koffi.address(memory) % BigInt(alignment));
  return new Uint8Array(memory, (alignment - address) % alignment, bytes);
}

import {
  assignSlice, bytesPerElement, concat, keep, scope, slice, Tensor, tensor, type Values,
} from "@danu/tensor";

import { typeOf } from "./call.ts";
import type { Shared } from "./collective.ts";

/** Elements `start` up to, not including, `end` of one value of a list. */
interface Piece {
  readonly index: number;
  readonly start: number;
  readonly end: number;
}

/** Pieces of values of one type that are copied to the host together. */
export type Bucket = readonly Piece[];

/** Cuts values into buckets, small ones together and large ones apart, in order. The cuts follow from types and shapes.
 *  @param bytes that a bucket has at most, but for a single element */
export function bucketsOf(values: readonly Shared[], bytes: number): readonly Bucket[] {
  const buckets: Piece[][] = [];
  let [type, room] = ["", 0];
  values.forEach((value, index) => {
    const size = elementsOf(value);
    for (let start = 0; start < size;) {
      if (room === 0 || type !== typeOf(value)) {
        buckets.push([]);
        type = typeOf(value);
        room = Math.max(1, Math.floor(bytes / bytesOf(value)));
      }
      const end = Math.min(size, start + room);
      buckets.at(-1)!.push({ index, start, end });
      room -= end - start;
      start = end;
    }
  });
  return buckets;
}

/** Copies a bucket to the host. */
export async function readBucket(values: readonly Shared[], bucket: Bucket): Promise<Values> {
  const parts = bucket.map(({ index, ...part }) => ({ value: values[index]!, ...part }));
  if (parts[0]!.value instanceof Float64Array) return joined(parts as readonly Part<Float64Array>[]);
  const flat = keep(scope(() => concat((parts as readonly Part<Tensor>[]).map(({ value, start, end }) => (
    slice(flattened(value), 0, start, end)
  )), 0)));
  try {
    return await flat.read();
  } finally {
    flat.dispose();
  }
}

/** Copies a bucket back from the host. */
export function writeBucket(values: readonly Shared[], bucket: Bucket, elements: Values): void {
  let from = 0;
  for (const { index, start, end } of bucket) {
    const part = elements.subarray(from, from += end - start);
    const value = values[index]!;
    if (value instanceof Float64Array) value.set(part, start);
    else scope(() => assignSlice(flattened(value), tensor(value.device, part, [part.length], value.dtype), 0, start));
  }
}

interface Part<V> {
  readonly value: V;
  readonly start: number;
  readonly end: number;
}

function joined(parts: readonly Part<Float64Array>[]): Float64Array {
  const y = new Float64Array(parts.reduce((n, { start, end }) => n + end - start, 0));
  let at = 0;
  for (const { value, start, end } of parts) {
    y.set(value.subarray(start, end), at);
    at += end - start;
  }
  return y;
}

function flattened(x: Tensor): Tensor {
  return x.view([x.size]);
}

function elementsOf(value: Shared): number {
  return value instanceof Tensor ? value.size : value.length;
}

function bytesOf(value: Shared): number {
  return value instanceof Tensor ? bytesPerElement[value.dtype] : Float64Array.BYTES_PER_ELEMENT;
}

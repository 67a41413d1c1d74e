import {
  add, assign, defineOp, defineUpdate, dims, DTypeError, equal, formatShape, iota, reshape, run, runUpdate, sameShape, scope, ShapeError, slice, where,
  type Op, type Tensor, type Update,
} from "@danu/tensor";

import { attendWhere, visibility } from "./attention.ts";

type AppendInputs = readonly [keys: Tensor, values: Tensor, k: Tensor, v: Tensor, stored: Tensor];

/** Appends keys and values to those of a cache, of which the device knows how many there are. */
export const appendKeyValuesOp: Update<AppendInputs, null> = defineUpdate({
  name: "appendKeyValues",
  check: ([keys, values, k, v, stored]) => {
    checkStored("appendKeyValues", stored);
    const fits = sameShape(keys.shape, values.shape) && sameShape(k.shape, v.shape)
      && k.shape.length === 4 && k.shape.every((n, i) => (i === 1 ? n <= keys.shape[1]! : n === keys.shape[i]));
    if (!fits) throw new ShapeError(`appendKeyValues: ${formatShape(k.shape)} and ${formatShape(v.shape)} do not fit into ${formatShape(keys.shape)} and ${formatShape(values.shape)}`);
    if ([values, k, v].some(({ dtype }) => dtype !== keys.dtype)) {
      throw new DTypeError(`appendKeyValues: expected ${keys.dtype}, got ${values.dtype}, ${k.dtype} and ${v.dtype}`);
    }
  },
  decompose: ([keys, values, k, v, stored]) => {
    const positions = iota(keys.device, keys.shape[1]!);
    for (let t = 0; t < k.shape[1]!; t++) {
      const here = reshape(equal(positions, add(stored, t)), [1, keys.shape[1]!, 1, 1]);
      for (const [store, fresh] of [[keys, k], [values, v]] as const) assign(store, where(here, slice(fresh, 1, t, t + 1), store));
    }
  },
});

type NextInputs = readonly [q: Tensor, keys: Tensor, values: Tensor, k: Tensor, v: Tensor, stored: Tensor];

/** How scores are scaled and what a query may see; see `AttentionAttrs`. */
export interface CachedAttentionAttrs {
  readonly scale: number;
  readonly slidingWindow: number | null;
}

/** Attention of the next positions of a cache, which it appends as it attends. */
export const attendNextOp: Op<NextInputs, readonly [o: Tensor, logSumExp: Tensor], CachedAttentionAttrs> = defineOp({
  name: "attendNext",
  infer: ([q, keys, values, k, v, stored]) => {
    appendKeyValuesOp.check([keys, values, k, v, stored], null);
    const { B, T, H, D } = dims(q, "B T H D");
    const G = keys.shape[2]!;
    if (keys.shape[0] !== B || keys.shape[3] !== D || k.shape[1] !== T || G === 0 || H % G !== 0) {
      throw new ShapeError(`attendNext: queries ${formatShape(q.shape)} do not fit keys ${formatShape(k.shape)} for ${formatShape(keys.shape)}`);
    }
    if (q.dtype !== keys.dtype) throw new DTypeError(`attendNext: expected one dtype, got ${q.dtype} and ${keys.dtype}`);
    return [{ shape: q.shape, dtype: q.dtype }, { shape: [B, H, T], dtype: "f32" }];
  },
  vjp: null,
  decompose: ([q, keys, values, k, v, stored], { scale, slidingWindow }) => {
    const [T, S] = [q.shape[1]!, keys.shape[1]!];
    runUpdate(appendKeyValuesOp, [keys, values, k, v, stored], null);
    return attendWhere(visibility(add(iota(q.device, T), stored), S, slidingWindow), q, keys, values, S, scale);
  },
});

function checkStored(name: string, stored: Tensor): void {
  if (stored.dtype !== "i32" || formatShape(stored.shape) !== "[1]") {
    throw new ShapeError(`${name}: expected the number of positions stored as i32 [1], got ${stored.dtype} ${formatShape(stored.shape)}`);
  }
}

/** Appends keys and values at the end of those of a cache, in place, and returns the `attention` of the positions appended. The
 *  device knows how many there were: the work is the same whatever their number, so that it may be repeated without being told.
 *  @param q `[B, T, H, D]`  @param keys, values `[B, S, G, D]`  @param k, v `[B, T, G, D]`
 *  @param stored positions in use before, i32 `[1]`  @returns `[B, T, H, D]`, dtype of q
 *  @throws ShapeError or DTypeError when they do not fit */
export function attendNext(
  q: Tensor, [keys, values]: readonly [Tensor, Tensor], [k, v]: readonly [Tensor, Tensor], stored: Tensor, slidingWindow: number | null,
): Tensor {
  return scope(() => run(attendNextOp, [q, keys, values, k, v, stored], { scale: 1 / Math.sqrt(q.shape[3]!), slidingWindow })[0]);
}

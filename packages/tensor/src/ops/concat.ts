import { DTypeError, ShapeError } from "../errors.ts";
import { defineOp, run, type Op } from "../op.ts";
import { formatShape, resolveAxis } from "../shape.ts";
import type { Tensor } from "../tensor.ts";
import { slice } from "./slice.ts";

export const concatOp: Op<readonly Tensor[], readonly [Tensor], { readonly axis: number }> = defineOp({
  name: "concat",
  infer: (parts, { axis }) => {
    const first = parts[0]!;
    for (const part of parts) {
      const fits = part.shape.length === first.shape.length && part.shape.every((n, i) => i === axis || n === first.shape[i]);
      if (!fits) throw new ShapeError(`concat: ${formatShape(part.shape)} does not continue ${formatShape(first.shape)} along axis ${axis}`);
      if (part.dtype !== first.dtype) throw new DTypeError(`concat: expected ${first.dtype} throughout, got ${part.dtype}`);
    }
    const total = parts.reduce((n, part) => n + part.shape[axis]!, 0);
    return [{ shape: first.shape.map((n, i) => (i === axis ? total : n)), dtype: first.dtype }];
  },
  vjp: ([g], parts, _, { axis }) => {
    let start = 0;
    return parts.map((part) => {
      const end = start + part.shape[axis]!;
      const piece = g && slice(g, axis, start, end);
      start = end;
      return piece;
    });
  },
  decompose: null,
  saves: { inputs: [], outputs: [] },
});

/** Tensors one after another along an axis. @throws ShapeError when other axes differ */
export function concat(parts: readonly Tensor[], axis: number): Tensor {
  if (parts.length === 0) throw new ShapeError("concat: expected at least one tensor");
  return run(concatOp, parts, { axis: resolveAxis("concat", axis, parts[0]!.shape.length) })[0];
}

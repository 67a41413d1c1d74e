import { ShapeError } from "../errors.ts";
import { defineOp, type Op } from "../op.ts";
import { formatShape, sameShape, sizeOf, type Shape } from "../shape.ts";
import { record } from "../tape.ts";
import type { Tensor } from "../tensor.ts";

const reshapeOp: Op<readonly [Tensor], readonly [Tensor], null> = defineOp({
  name: "reshape",
  infer: ([x]) => [{ shape: x.shape, dtype: x.dtype }],
  vjp: ([g], [x]) => [g && reshape(g, x.shape)],
  decompose: null,
  saves: { inputs: [], outputs: [] },
});

/** The same elements under another shape, without a copy. One size may be −1: it follows from the others.
 *  @throws ShapeError when the number of elements differs */
export function reshape(x: Tensor, shape: Shape): Tensor {
  const resolved = resolve(x, shape);
  if (sameShape(resolved, x.shape)) return x;
  const y = x.view(resolved);
  record(reshapeOp, [x], [y], null);
  return y;
}

function resolve(x: Tensor, shape: Shape): Shape {
  const open = shape.indexOf(-1);
  if (open < 0) return shape;
  const known = sizeOf(shape.filter((_, i) => i !== open));
  const missing = x.size / known;
  if (!Number.isInteger(missing)) throw new ShapeError(`reshape: ${formatShape(x.shape)} does not fit ${formatShape(shape)}`);
  return shape.map((n, i) => (i === open ? missing : n));
}

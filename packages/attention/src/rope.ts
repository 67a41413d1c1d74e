import {
  concat, defineOp, dims, DTypeError, embedding, mul, neg, reshape, run, ShapeError, slice, sub, add, cast, tensor,
  type Device, type Op, type Tensor,
} from "@danu/tensor";

/** Whether to turn back instead of forth: the gradient, and the inverse, of the rotation. */
export interface RopeAttrs {
  readonly inverse: boolean;
}

type RopeInputs = readonly [x: Tensor, table: Tensor, positions: Tensor];

export const ropeOp: Op<RopeInputs, readonly [Tensor], RopeAttrs> = defineOp({
  name: "rope",
  infer: ([x, table, positions]) => {
    checkTurn("rope", dims(x, "B T H D"), table, positions);
    return [{ shape: x.shape, dtype: x.dtype }];
  },
  vjp: ([g], [, table, positions], _, { inverse }) => [g && run(ropeOp, [g, table, positions], { inverse: !inverse })[0], null, null],
  decompose: ([x, table, positions], { inverse }) => {
    const { B, T, D } = dims(x, "B T H D");
    const half = D / 2;
    const angles = reshape(embedding(positions, table), [B, T, 1, D]);
    const cosine = slice(angles, 3, 0, half);
    const sine = inverse ? neg(slice(angles, 3, half, D)) : slice(angles, 3, half, D);
    const wide = cast(x, "f32");
    const [first, second] = [slice(wide, 3, 0, half), slice(wide, 3, half, D)];
    const turned = concat([
      sub(mul(first, cosine), mul(second, sine)),
      add(mul(second, cosine), mul(first, sine)),
    ], 3);
    return [cast(turned, x.dtype)];
  },
  saves: { inputs: [1, 2], outputs: [] },
});

/** @throws ShapeError or DTypeError unless a table turns heads of D channels, at positions `[B, T]` */
export function checkTurn(name: string, { B, T, D }: { readonly B: number; readonly T: number; readonly D: number }, table: Tensor, positions: Tensor): void {
  if (table.shape.length !== 2 || table.shape[1] !== D || D % 2 !== 0) {
    throw new ShapeError(`${name}: expected an even head dimension and a table [P, ${D}], got [${table.shape.join(", ")}]`);
  }
  if (positions.shape.length !== 2 || positions.shape[0] !== B || positions.shape[1] !== T) {
    throw new ShapeError(`${name}: expected positions [${B}, ${T}], got [${positions.shape.join(", ")}]`);
  }
  if (positions.dtype !== "i32" || table.dtype !== "f32") {
    throw new DTypeError(`${name}: expected i32 positions and an f32 table, got ${positions.dtype} and ${table.dtype}`);
  }
}

/** Rotates pairs of channels by angles that grow with the position: rotary position embedding, Su et al. 2021.
 *  Pairs are `(i, i + D/2)`, as in Hugging Face's Llama and Mistral.
 *  @param x `[B, T, H, D]`  @param table f32 `[P, D]` of `ropeTable`  @param positions i32 `[B, T]`, each in `[0, P)`
 *  @returns `[B, T, H, D]`, dtype of x  @throws ShapeError when shapes do not fit; DeviceError at the next read for a
 *  position outside of the table */
export function rope(x: Tensor, table: Tensor, positions: Tensor): Tensor {
  return run(ropeOp, [x, table, positions], { inverse: false })[0];
}

/** Cosines and sines of every position: row p is `cos(p·ω₀) … sin(p·ω₀) …` with `ωᵢ = theta^(−2i/D)`, in radians.
 *  @returns f32 `[positions, headDim]` */
export function ropeTable(device: Device, options: { positions: number; headDim: number; theta: number }): Tensor {
  const { positions, headDim, theta } = options;
  const half = headDim / 2;
  const values = new Float32Array(positions * headDim);
  for (let i = 0; i < half; i++) {
    // PyTorch forms frequency and angle in f32; the same rounding gives the same angles at far positions.
    const frequency = Math.fround(1 / Math.fround(theta ** ((2 * i) / headDim)));
    for (let p = 0; p < positions; p++) {
      const angle = Math.fround(p * frequency);
      values[p * headDim + i] = Math.cos(angle);
      values[p * headDim + half + i] = Math.sin(angle);
    }
  }
  return tensor(device, values, [positions, headDim]);
}

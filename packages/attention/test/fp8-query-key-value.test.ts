import * as t from "@danu/tensor";
import { hostIntegers, hostTensor, times, upload } from "@danu/testing";
import fc from "fast-check";
import { expect, test } from "vitest";

import { fp8QueryKeyValue, fp8QueryKeyValueGradOp, rope, ropeTable } from "../src/index.ts";

const device = t.referenceDevice();
const POSITIONS = 50;

const sizes = fc.record({
  B: fc.constantFrom(0, 1, 2), T: fc.constantFrom(1, 2, 4, 5), C: fc.integer({ min: 1, max: 9 }), H: fc.integer({ min: 1, max: 4 }), G: fc.integer({ min: 1, max: 2 }),
  D: fc.constantFrom(2, 4, 6), calibrate: fc.boolean(), seed: fc.nat(),
});
type Sizes = typeof sizes extends fc.Arbitrary<infer S> ? S : never;

interface Layer {
  readonly x: readonly [x: t.Tensor, norm: t.Tensor, query: t.Tensor, key: t.Tensor, value: t.Tensor];
  readonly g: readonly [q: t.Tensor, k: t.Tensor, v: t.Tensor];
  readonly table: t.Tensor;
  readonly positions: t.Tensor;
  /** Two of the same weights: an op notes magnitudes in its own. */
  readonly matrices: readonly [t.Fp8Matrix, t.Fp8Matrix];
}

function layerOf({ B, T, C, H, G, D, seed }: Sizes, dtype: t.DType): Layer {
  const draw = (offset: number, ...shape: number[]): t.Tensor => upload(device, hostTensor(dtype, shape, seed + offset));
  const weights = [draw(2, H * D, C), draw(3, G * D, C), draw(4, G * D, C)] as const;
  const matrixOf = (): t.Fp8Matrix => {
    const matrix = t.fp8Matrix(device, (H + 2 * G) * D, C);
    t.writeFp8(matrix, weights, { calibrate: true });
    return matrix;
  };
  return {
    x: [draw(0, B, T, C), draw(1, C), ...weights], g: [draw(5, B, T, H, D), draw(6, B, T, G, D), draw(7, B, T, G, D)],
    table: ropeTable(device, { positions: POSITIONS, headDim: D, theta: 10_000 }),
    positions: upload(device, hostIntegers("i32", [B, T], seed + 8, POSITIONS)), matrices: [matrixOf(), matrixOf()],
  };
}

/** Queries, keys and values by the op, and by those that it is made of. */
function bothWays({ table, positions, matrices: [fused, plain] }: Layer, { H, G, D, calibrate }: Sizes): readonly ((...x: t.Tensor[]) => readonly t.Tensor[])[] {
  return [
    (x, norm, query, key, value) => fp8QueryKeyValue(x!, norm!, { query: query!, key: key!, value: value! }, fused, table, positions, { calibrate }),
    (x, norm, ...weights) => {
      const y = t.fp8NormLinears(x!, norm!, weights, plain, { calibrate });
      const [q, k, v] = y.map((one, i) => t.reshape(one, [...x!.shape.slice(0, 2), i === 0 ? H : G, D])) as [t.Tensor, t.Tensor, t.Tensor];
      return [rope(q, table, positions), rope(k, table, positions), v];
    },
  ];
}

async function read(tensors: readonly (t.Tensor | null)[]): Promise<(number[] | null)[]> {
  return Promise.all(tensors.map(async (tensor) => (tensor === null ? null : [...(await tensor.read())] as number[])));
}

test("is a norm with its linear layers and rope, and its gradients are theirs, to the bit", async () => {
  await fc.assert(fc.asyncProperty(sizes, async (size) => {
    const layer = layerOf(size, "f32");
    const [got, wanted] = await Promise.all(bothWays(layer, size).map(async (f, i) => {
      const { y, pull } = t.pullback(f, layer.x);
      return read([...y, ...pull(layer.g), layer.matrices[i]!.scaling]);
    }));
    expect(got).toEqual(wanted);
  }), times(60));
});

test("in bf16, it rounds as they do, and gradients are not rounded between the rotation and the cast", async () => {
  await fc.assert(fc.asyncProperty(sizes, async (size) => {
    const layer = layerOf(size, "bf16");
    const { x: [x, norm], g, table, positions, matrices: [{ scaling, transposed }, other] } = layer;
    const [got, wanted] = await Promise.all(bothWays(layer, size).map(async (f) => read(f(...layer.x))));
    expect(got).toEqual(wanted);
    const inverseRms = upload(device, hostTensor("f32", x.shape.slice(0, 2), size.seed));
    const attrs = { eps: 1e-5, calibrate: size.calibrate, needsWeights: true };
    const fused = t.run(fp8QueryKeyValueGradOp, [x, norm, inverseRms, scaling, transposed, table, positions, ...g, null, null], attrs);
    const wide = g.map((one) => t.cast(one, "f32"));
    // A rotation by minus the angle, over a table of its own.
    const half = size.D / 2;
    const mirrored = t.concat([t.slice(table, 1, 0, half), t.neg(t.slice(table, 1, half, size.D))], 1);
    const turned = [rope(wide[0]!, mirrored, positions), rope(wide[1]!, mirrored, positions), wide[2]!];
    const flat = turned.map((one) => t.reshape(one, [...x.shape.slice(0, 2), one.shape[2]! * size.D]));
    const plain = t.run(t.fp8NormLinearsGradOp, [x, norm, inverseRms, other.scaling, transposed, null, null, ...flat], attrs);
    const [dx, dNorm, copy, copyTransposed, ...dWeights] = plain;
    expect(await read([...fused, scaling])).toEqual(await read([dx, dNorm, ...dWeights, copy, copyTransposed, other.scaling]));
    expect(fused.map(({ dtype }) => dtype)).toEqual(["bf16", "f32", "f32", "f32", "f32", "f8e5m2", "f8e5m2"]);
  }), times(30));
});

test("gradients of weights are computed only where they are asked for, and a result that is not used has none", async () => {
  const size: Sizes = { B: 1, T: 4, C: 3, H: 2, G: 1, D: 4, calibrate: false, seed: 3 };
  const { x: [x, norm, query, key, value], g, table, positions, matrices: [matrix] } = layerOf(size, "f32");
  const inputs = [x, norm, upload(device, hostTensor("f32", [1, 4], 1)), matrix.scaling, matrix.transposed, table, positions, ...g, null, null] as const;
  const without = t.run(fp8QueryKeyValueGradOp, inputs, { eps: 1e-5, calibrate: false, needsWeights: false });
  expect(without.map(({ shape }) => shape)).toEqual([[1, 4, 3], [3], [0, 3], [0, 3], [0, 3], [0, 3], [3, 0]]);
  const [, gradients] = t.valueAndGrad((p: { key: t.Tensor; value: t.Tensor }) => (
    t.sum(fp8QueryKeyValue(x, norm, { query, ...p }, matrix, table, positions)[2])
  ))({ key, value });
  expect([...(await gradients.key.read())]).toEqual(new Array(12).fill(0));
  expect([...(await gradients.value.read())].some((one) => one !== 0)).toBe(true);
});

test("says what does not fit", () => {
  const size: Sizes = { B: 1, T: 4, C: 3, H: 2, G: 1, D: 4, calibrate: false, seed: 3 };
  const { x: [x, norm, query, key, value], table, positions, matrices: [matrix] } = layerOf(size, "f32");
  const call = (changed: { readonly table?: t.Tensor; readonly positions?: t.Tensor; readonly value?: t.Tensor }) => (): unknown => {
    const all = { query, key, value, table, positions, ...changed };
    return fp8QueryKeyValue(x, norm, all, matrix, all.table, all.positions);
  };
  expect(call({ table: t.ones(device, [50, 3]) })).toThrow("fp8QueryKeyValue: expected an even head dimension and a table [P, 3], got [50, 3]");
  expect(call({ table: t.ones(device, [50, 6]) })).toThrow("fp8QueryKeyValue: expected weights [heads · 6, C] for a table [P, 6], got [8, 3], [4, 3], [4, 3]");
  expect(call({ positions: t.zeros(device, [1, 3], "i32") })).toThrow("fp8QueryKeyValue: expected positions [1, 4], got [1, 3]");
  expect(call({ value: query })).toThrow("expected weights that fill a matrix [16, 3], got [8, 3], [4, 3], [8, 3]");
});

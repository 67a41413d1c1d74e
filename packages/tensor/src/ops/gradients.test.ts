import {
  broadcastable,
  gradcheck,
  hostIntegers,
  hostTensor,
  seeds,
  shapes,
  shapesWithAxis,
  times,
  type HostTensor,
} from "@danu/testing";
import fc from "fast-check";
import { describe, expect, test } from "vitest";

import * as t from "../index.ts";

type Call = readonly [f: (...x: t.Tensor[]) => t.Tensor, inputs: readonly HostTensor[]];

const small = { maxRank: 3, maxSize: 8 };
const runs = times(6);
const real = (shape: t.Shape, seed: number): HostTensor => hostTensor("f32", shape, seed);
/** Values away from 0, for roots, logarithms and divisors. */
const positive = (shape: t.Shape, seed: number): HostTensor => {
  const x = real(shape, seed);
  return { ...x, values: x.values.map((value) => 0.3 + Math.abs(value)) };
};
/** Values away from 0 of either sign, where |x| is smooth. */
const apart = (shape: t.Shape, seed: number): HostTensor => {
  const x = real(shape, seed);
  return { ...x, values: x.values.map((value) => (value < 0 ? value - 0.1 : value + 0.1)) };
};

function unary(f: (x: t.Tensor) => t.Tensor, fill = real): fc.Arbitrary<Call> {
  return fc.tuple(shapes(small), seeds).map(([shape, seed]) => [f, [fill(shape, seed)]]);
}

function binary(f: (a: t.Tensor, b: t.Tensor) => t.Tensor, fill = real): fc.Arbitrary<Call> {
  return fc
    .tuple(broadcastable(2, small), seeds)
    .map(([[a, b], seed]) => [f as Call[0], [real(a!, seed), fill(b!, seed + 1)]]);
}

function alongAxis(f: (x: t.Tensor, axis: number) => t.Tensor): fc.Arbitrary<Call> {
  return fc
    .tuple(shapesWithAxis(small), seeds)
    .map(([{ shape, axis }, seed]) => [(x) => f(x!, axis), [real(shape, seed)]]);
}

const sizes = fc.integer({ min: 0, max: 3 });
const some = fc.integer({ min: 1, max: 4 });

const calls: Readonly<Record<string, fc.Arbitrary<Call>>> = {
  cast: unary((x) => t.cast(x, "f32")),
  add: binary(t.add),
  sub: binary(t.sub),
  mul: binary(t.mul),
  div: binary(t.div, positive),
  maximum: binary(t.maximum),
  minimum: binary(t.minimum),
  neg: unary(t.neg),
  abs: unary(t.abs, apart),
  exp: unary(t.exp),
  log: unary(t.log, positive),
  sqrt: unary(t.sqrt, positive),
  sin: unary(t.sin),
  cos: unary(t.cos),
  tanh: unary(t.tanh),
  sigmoid: unary(t.sigmoid),
  silu: unary(t.silu),
  stopGradientBeside: unary((x) => t.add(x, t.zeros(x.device, x.shape))),
  where: fc
    .tuple(broadcastable(3, small), seeds)
    .map(([[mask, a, b], seed]) => [
      t.where as Call[0],
      [hostIntegers("u8", mask!, seed, 2), real(a!, seed + 1), real(b!, seed + 2)],
    ]),
  sum: alongAxis((x, axis) => t.sum(x, { axis })),
  mean: unary((x) => t.mean(x)),
  max: alongAxis((x, axis) => (x.shape[axis] === 0 ? x : t.max(x, { axis, keepDims: true }))),
  softmax: alongAxis((x) => t.softmax(x)),
  logSoftmax: alongAxis((x) => t.logSoftmax(x)),
  logSumExp: alongAxis((x) => t.logSumExp(x)),
  reshape: unary((x) => t.reshape(x, [x.size, 1])),
  permute: fc.tuple(shapes({ ...small, minRank: 1 }), seeds).map(([shape, seed]) => [
    (x) =>
      t.permute(
        x!,
        shape.map((_, i) => ((i + seed) % shape.length) - (seed % 2) * shape.length)
      ),
    [real(shape, seed)],
  ]),
  transpose: fc.tuple(sizes, sizes, seeds).map(([m, n, seed]) => [(x) => t.transpose(x!), [real([2, m, n], seed)]]),
  slice: alongAxis((x, axis) => t.slice(x, axis, Math.min(1, x.shape[axis]!), x.shape[axis]!)),
  pad: alongAxis((x, axis) => t.pad(x, axis, 1, 2)),
  concat: fc
    .tuple(shapesWithAxis(small), seeds)
    .map(([{ shape, axis }, seed]) => [
      (...x) => t.concat(x, axis),
      [real(shape, seed), real(shape.with(axis, 1), seed + 1), real(shape, seed + 2)],
    ]),
  broadcastTo: fc
    .tuple(broadcastable(2, small), seeds)
    .map(([[a, b], seed]) => [(x) => t.broadcastTo(x!, t.broadcastShapes("test", a!, b!)), [real(a!, seed)]]),
  matmul: fc
    .tuple(
      sizes,
      sizes,
      sizes,
      fc.boolean(),
      fc.boolean(),
      seeds,
      fc.constantFrom([[], []], [[2], []], [[2, 1], [3]], [[0], []])
    )
    .map(([M, N, K, transposeA, transposeB, seed, batch]) => [
      (a, b) => t.matmul(a!, b!, { transposeA, transposeB }),
      [
        real([...batch[0]!, ...(transposeA ? [K, M] : [M, K])], seed),
        real([...batch[1]!, ...(transposeB ? [N, K] : [K, N])], seed + 1),
      ],
    ]),
  linear: fc
    .tuple(sizes, sizes, sizes, seeds, fc.boolean())
    .map(([n, C, O, seed, residual]) => [
      (x, weight, r) => t.linear(x!, weight!, r ?? null),
      [real([2, n, C], seed), real([O, C], seed + 1), ...(residual ? [real([2, n, O], seed + 2)] : [])],
    ]),
  rmsNorm: fc
    .tuple(sizes, some, seeds)
    .map(([n, C, seed]) => [(x, weight) => t.rmsNorm(x!, weight!, 0.01), [real([n, C], seed), real([C], seed + 1)]]),
  swiglu: fc
    .tuple(shapes(small), seeds)
    .map(([shape, seed]) => [t.swiglu as Call[0], [real(shape, seed), real(shape, seed + 1)]]),
  embedding: fc
    .tuple(shapes({ maxRank: 2, maxSize: 5 }), some, sizes, seeds)
    .map(([shape, V, C, seed]) => [
      t.embedding as Call[0],
      [hostIntegers("i32", shape, seed, V), real([V, C], seed + 1)],
    ]),
  embeddingGrad: fc
    .tuple(shapes({ maxRank: 2, maxSize: 5 }), some, sizes, seeds)
    .map(([shape, V, C, seed]) => [
      (ids, g) => t.run(t.embeddingGradOp, [g!, ids!], { V })[0],
      [hostIntegers("i32", shape, seed, V), real([...shape, C], seed + 1)],
    ]),
  linearCrossEntropy: fc
    .tuple(sizes, some, some, seeds)
    .map(([N, C, V, seed]) => [
      (targets, x, weight) => t.linearCrossEntropy(x!, weight!, targets!, { scale: 0.3 }),
      [
        {
          ...hostIntegers("i32", [N], seed, V + 1),
          values: hostIntegers("i32", [N], seed, V + 1).values.map((id) => (id === V ? t.ignoreIndex : id)),
        },
        real([N, C], seed + 1),
        real([V, C], seed + 2),
      ],
    ]),
  tokenLosses: fc
    .tuple(sizes, some, some, seeds)
    .map(([N, C, V, seed]) => [
      (targets, x, weight) => t.tokenLosses(x!, weight!, targets!),
      [
        {
          ...hostIntegers("i32", [N], seed, V + 1),
          values: hostIntegers("i32", [N], seed, V + 1).values.map((id) => (id === V ? t.ignoreIndex : id)),
        },
        real([N, C], seed + 1),
        real([V, C], seed + 2),
      ],
    ]),
};

describe("the gradient is that of central differences", () => {
  test.each(Object.keys(calls))("%s", async (name) => {
    await fc.assert(
      fc.asyncProperty(calls[name]!, ([f, inputs]) => gradcheck(f, inputs)),
      runs
    );
  });

  test("and none of the ops with a gradient is forgotten", () => {
    const ops = Object.values(t).filter(
      (value): value is t.AnyOp => typeof value === "object" && "vjp" in value && value.vjp !== null
    );
    expect(ops.length).toBeGreaterThan(20);
    // The casts of fp8 are steps, which have no differences to be compared with: fp8-linear.test.ts has torch's gradients,
    // and fp8-fused.test.ts compares with it.
    const apart = ["fp8FeedForward", "fp8Linear", "fp8NormLinears"];
    expect(ops.map((op) => op.name).filter((name) => !(name in calls))).toEqual(apart);
  });
});

test("gradients cross a change of type", async () => {
  const device = t.referenceDevice();
  const [gradient] = t.scope(() => {
    const x = t.tensor(device, [1.5, -2, 3], [3], "bf16");
    return [t.valueAndGrad((u: t.Tensor) => t.sum(t.mul(t.cast(u, "f32"), t.cast(u, "f32"))))(x)[1]];
  });
  expect([gradient.dtype, ...(await gradient.read())]).toEqual(["bf16", 3, -4, 6]);
  gradient.dispose();
});

test.each(["bf16", "f16"] as const)(
  "the weight of a linear layer in %s has a gradient in f32, as has an embedding table",
  async (dtype) => {
    const device = t.referenceDevice();
    const dtypesOf = t.scope(() => {
      const params = {
        weight: t.ones(device, [3, 2], dtype),
        table: t.ones(device, [4, 2], dtype),
        norm: t.ones(device, [2], dtype),
      };
      const ids = t.tensor(device, [1, 3], [2], "i32");
      const [, g] = t.valueAndGrad((p: typeof params) =>
        t.sum(t.cast(t.linear(t.rmsNorm(t.embedding(ids, p.table), p.norm), p.weight), "f32"))
      )(params);
      return [g.weight.dtype, g.table.dtype, g.norm.dtype];
    });
    expect(dtypesOf).toEqual(["f32", "f32", "f32"]);
    expect(device.liveBuffers).toBe(0);
  }
);

test("equal winners share the gradient of max", async () => {
  const device = t.referenceDevice();
  const gradient = t.scope(() => t.valueAndGrad((x: t.Tensor) => t.max(x))(t.tensor(device, [2, 5, 5, 1]))[1]);
  expect([...(await gradient.read())]).toEqual([0, 0.5, 0.5, 0]);
  gradient.dispose();
});

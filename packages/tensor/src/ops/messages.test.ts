import { describe, expect, test } from "vitest";

import * as t from "../index.ts";

const device = t.referenceDevice();
const of = (...shape: number[]): t.Tensor => t.zeros(device, shape);
const half = (...shape: number[]): t.Tensor => t.zeros(device, shape, "bf16");
const ids = (...shape: number[]): t.Tensor => t.zeros(device, shape, "i32");

const shapeErrors: readonly [call: () => unknown, message: string][] = [
  [() => t.add(of(2, 3), of(2)), "add: shapes do not broadcast: [2, 3] and [2]"],
  [() => t.matmul(of(2, 3), of(4, 5)), "matmul: inner dims differ: [2, 3] x [4, 5]"],
  [() => t.matmul(of(3), of(3, 1)), "matmul: expected at least two axes, got [3] x [3, 1]"],
  [() => t.linear(of(2, 3), of(5, 4)), "linear: inner dims differ: [2, 3] x [5, 4]ᵀ"],
  [() => t.linear(of(2, 3), of(5, 3), of(2, 3)), "linear: expected a residual [2, 5], got [2, 3]"],
  [() => t.rmsNorm(of(2, 3), of(4)), "rmsNorm: expected a weight of [3] for [2, 3], got [4]"],
  [() => t.swiglu(of(2), of(3)), "swiglu: expected two tensors of one shape, got [2] and [3]"],
  [() => t.embedding(ids(2), of(3)), "embedding: expected a table [V, C], got [3]"],
  [() => t.linearCrossEntropy(of(2, 3), of(5, 4), ids(2)),
    "tokenLosses: expected x [N, C], weight [V, C] and targets [N], got [2, 3], [5, 4], [2]"],
  [() => t.reshape(of(2, 3), [4, -1]), "reshape: [2, 3] does not fit [4, -1]"],
  [() => t.reshape(of(2, 3), [7]), "view: [2, 3] has 6 elements, [7] needs 7"],
  [() => t.broadcastTo(of(2), [3]), "broadcastTo: shapes do not broadcast: [2] and [3]"],
  [() => t.broadcastTo(of(2), [1]), "broadcastTo: [2] does not stretch to [1]"],
  [() => t.permute(of(2, 3), [0, 0]), "permute: expected each of the 2 axes once, got [0, 0]"],
  [() => t.permute(of(2, 3), [1, -1]), "permute: expected each of the 2 axes once, got [1, 1]"],
  [() => t.permute(of(2, 3), [0, 2]), "permute: axis 2 is not one of the 2 axes"],
  [() => t.slice(of(2, 3), 1, 2, 4), "slice: 2 to 4 is not within axis 1 of [2, 3]"],
  [() => t.slice(of(3), 0, 0.5, 2), "slice: 0.5 to 2 is not within axis 0 of [3]"],
  [() => t.pad(of(3), 0, -1, 2), "pad: expected whole numbers of at least 0, got -1 before and 2 after"],
  [() => t.concat([of(2, 3), of(2, 4)], 0), "concat: [2, 4] does not continue [2, 3] along axis 0"],
  [() => t.concat([], 0), "concat: expected at least one tensor"],
  [() => t.sum(of(2), { axis: 1 }), "sum: axis 1 is not one of the 1 axes"],
  [() => t.argmax(of()), "argmax: axis -1 is not one of the 0 axes"],
  [() => t.assign(of(2), of(3)), "assign: expected [2], got [3]"],
  [() => t.assignSlice(of(4), of(2), 0, 3), "assignSlice: [2] at 3 of axis 0 is not within [4]"],
  [() => t.assignSlice(of(4), of(2), 0, 0.5), "assignSlice: [2] at 0.5 of axis 0 is not within [4]"],
  [() => t.addInto(of(2), of(1)), "addInto: expected [2], got [1]"],
  [() => t.scaleInto(of(2), of(2)), "scaleInto: expected one f32 factor, got f32 [2]"],
  [() => t.tensor(device, [1, 2], [3]), "tensor: [3] needs 3 values, got 2"],
  [() => t.tensorFromBytes(device, new Uint8Array(5), [2], "bf16"), "tensorFromBytes: bf16 [2] needs 4 bytes, got 5"],
  [() => t.full(device, [-1], 0), "full: expected sizes that are whole numbers of at least 0, got [-1]"],
  [() => t.iota(device, -1), "iota: expected sizes that are whole numbers of at least 0, got [-1]"],
];

const dtypeErrors: readonly [call: () => unknown, message: string][] = [
  [() => t.add(of(2), half(2)), "add: expected operands of one dtype, got f32 and bf16; use cast()"],
  [() => t.exp(ids(2)), "exp: expected a float tensor, got i32"],
  [() => t.matmul(ids(2, 2), ids(2, 2)), "matmul: expected two operands of one float type, got i32 and i32"],
  [() => t.linear(of(2, 3), half(4, 3)), "linear: expected one float dtype, got f32, bf16"],
  [() => t.linear(ids(2, 3), ids(4, 3)), "linear: expected one float dtype, got i32, i32"],
  [() => t.rmsNorm(of(3), half(3)), "rmsNorm: expected one float dtype, got f32 and bf16"],
  [() => t.swiglu(ids(3), ids(3)), "swiglu: expected one float dtype, got i32 and i32"],
  [() => t.where(of(2), of(2), of(2)), "where: expected a u8 mask, got f32"],
  [() => t.where(t.zeros(device, [2], "u8"), of(2), half(2)), "where: expected choices of one dtype, got f32 and bf16"],
  [() => t.embedding(of(2), of(3, 4)), "embedding: expected i32 ids, got f32"],
  [() => t.tokenLosses(of(2, 3), half(5, 3), ids(2)), "tokenLosses: expected one float dtype, got f32 and bf16"],
  [() => t.tokenLosses(of(2, 3), of(5, 3), of(2)), "tokenLosses: expected i32 targets, got f32"],
  [() => t.concat([of(2), half(2)], 0), "concat: expected f32 throughout, got bf16"],
  [() => t.assignSlice(of(4), half(2), 0, 0), "assignSlice: expected f32, got bf16"],
];

describe("a call that does not fit says what was expected and what came", () => {
  test.each(shapeErrors.map(([call, message]) => ({ call, message })))("$message", ({ call, message }) => {
    const failed = expect(() => { t.scope(() => { call(); }); });
    failed.toThrow(t.ShapeError);
    failed.toThrow(message);
  });

  test.each(dtypeErrors.map(([call, message]) => ({ call, message })))("$message", ({ call, message }) => {
    const failed = expect(() => { t.scope(() => { call(); }); });
    failed.toThrow(t.DTypeError);
    failed.toThrow(message);
  });

  test("and leaves no memory behind", () => {
    expect(device.liveBuffers).toBe(0);
  });
});

test("the public door names the function and what came", () => {
  const { add, sub, mul, div, maximum, less } = t;
  for (const [name, f] of Object.entries({ add, sub, mul, div, maximum, less })) {
    const wrong = (): unknown => f("1" as never, 2);
    expect(wrong).toThrow(TypeError);
    expect(wrong).toThrow(new RegExp(`function ${name} .*expected: .*Tensor.*, actual: string`));
    expect(() => f(1, 2)).toThrow(new RegExp(`function ${name} `));
  }
});

test("a number takes the type of the tensor beside it", async () => {
  using x = t.tensor(device, [1, 2], [2], "bf16");
  using y = t.scope(() => t.sub(1, t.mul(x, 0.1)));
  expect(y.dtype).toBe("bf16");
  expect((await y.read())[0]).toBeCloseTo(0.9, 2);
});

test("errors are recognised across copies of the package", () => {
  const error = new t.ShapeError("no", { axis: 1 });
  expect([error, new Error("no"), null].map((value) => t.DanuError.isInstance(value))).toEqual([true, false, false]);
  expect([error.name, error.code, error.data]).toEqual(["ShapeError", "shape", { axis: 1 }]);
});

test("integers wrap around as hardware does", async () => {
  const big = [2 ** 31 - 1, -(2 ** 31), 123456789, -46341, 65537];
  const pairs = big.flatMap((a) => big.map((b) => [a, b] as const));
  const bits = (x: bigint): number => Number(BigInt.asIntN(32, x));
  using a = t.tensor(device, pairs.map(([x]) => x), [pairs.length], "i32");
  using b = t.tensor(device, pairs.map(([, y]) => y), [pairs.length], "i32");
  const results = t.scope(() => [t.add(a, b), t.sub(a, b), t.mul(a, b), t.div(a, b)] as const);
  const expected = [
    pairs.map(([x, y]) => bits(BigInt(x) + BigInt(y))), pairs.map(([x, y]) => bits(BigInt(x) - BigInt(y))),
    pairs.map(([x, y]) => bits(BigInt(x) * BigInt(y))), pairs.map(([x, y]) => bits(BigInt(x) / BigInt(y))),
  ];
  for (const [i, result] of results.entries()) expect([...await result.read()]).toEqual(expected[i]);
  t.disposeTree(results);
});

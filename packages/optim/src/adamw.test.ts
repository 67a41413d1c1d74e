import {
  assign, cast, disposeTree, fp8Columns, fp8Matrix, fp8Rows, mapTree, referenceDevice, scope, tensor, tensorsIn, writeFp8, type Device, type DType, type Fp8Matrix, type Tensor,
} from "@danu/tensor";
import { goldenAdamw } from "@danu/testing";
import { expect, test } from "vitest";

import { adamw, AdamW, adamwOp, adamwParameters, clipScale, type AdamWParameter } from "./index.ts";

const near = (actual: ArrayLike<number>, expected: ArrayLike<number>, tolerance: number): void => {
  expect(actual.length).toBe(expected.length);
  for (let i = 0; i < expected.length; i++) {
    expect(Math.abs(actual[i]! - expected[i]!)).toBeLessThanOrEqual(tolerance * Math.max(1, Math.abs(expected[i]!)));
  }
};

const goldens = goldenAdamw().map((entry) => [entry.name, entry] as const);

test.each(goldens)("three steps equal PyTorch's: %s", async (_, golden) => {
  for (const precision of ["f64", "f32"] as const) {
    const device = referenceDevice({ precision });
    const { learningRate, betas: [beta1, beta2], epsilon: eps, weightDecay } = golden.attributes;
    // Two axes, so that the decay applies.
    const n = golden.parameter.data.length;
    const params = { w: tensor(device, golden.parameter.data, [1, n]) };
    const optimizer = new AdamW(params, { beta1, beta2, eps, weightDecay });
    for (let step = 0; step < 3; step++) {
      const gradients = { w: tensor(device, golden.gradients.data.slice(step * n, (step + 1) * n), [1, n]) };
      scope(() => optimizer.step(gradients, { learningRate }));
      const expected = golden.parameterAfterEachStep.data.slice(step * n, (step + 1) * n);
      near(await params.w.read(), expected, precision === "f64" ? 1e-12 : 3e-7);
      disposeTree(gradients);
    }
    expect(optimizer.steps).toBe(3);
    optimizer[Symbol.dispose]();
    disposeTree(params);
    expect(device.liveBuffers).toBe(0);
  }
});

test("decay shrinks tensors of two or more axes and leaves norms and biases alone", async () => {
  const device = referenceDevice({ precision: "f64" });
  const filled = (x: number): { matrix: Tensor; norm: Tensor; scalar: Tensor } => ({
    matrix: tensor(device, [x, x], [1, 2]), norm: tensor(device, [x, x]), scalar: tensor(device, [x], []),
  });
  const [params, gradients] = [filled(1), filled(0)];
  const optimizer = new AdamW(params, { weightDecay: 0.5 });
  scope(() => optimizer.step(gradients, { learningRate: 0.1 }));
  near(await params.matrix.read(), [0.95, 0.95], 1e-15);
  near(await params.norm.read(), [1, 1], 0);
  near(await params.scalar.read(), [1], 0);
});

test("a gradient scale that is not finite leaves parameter and moments, and the copy is written all the same", async () => {
  const device = referenceDevice();
  const make = (values: readonly number[], dtype: DType = "f32"): Tensor => tensor(device, values, [2], dtype);
  for (const poison of [NaN, Infinity, -Infinity]) {
    const [param, mean, variance] = [make([1, -2]), make([0.5, 0.25]), make([0.125, 1])];
    const [gradient, copy, scale] = [make([poison, 3]), make([9, 9], "bf16"), tensor(device, [poison], [])];
    const attrs = { learningRate: 0.1, beta1: 0.9, beta2: 0.95, eps: 1e-8, step: 3 };
    scope(() => adamw([{ param, gradient, mean, variance, copy, fp8: null, weightDecay: 0.1 }], scale, attrs));
    expect([...await param.read()]).toEqual([1, -2]);
    expect([...await mean.read()]).toEqual([0.5, 0.25]);
    expect([...await variance.read()]).toEqual([0.125, 1]);
    expect([...await copy.read()]).toEqual([1, -2]);
    disposeTree([param, mean, variance, gradient, copy, scale]);
  }
});

test("a NaN or an overflow in any gradient makes the clip scale NaN, and the step is not taken", async () => {
  const device = referenceDevice();
  for (const poison of [NaN, Infinity, -Infinity, 3e38]) {
    const params = { a: tensor(device, [1, 2], [1, 2]), b: tensor(device, [3]) };
    const optimizer = new AdamW(params);
    const gradients = { a: tensor(device, [0.5, 0.5], [1, 2]), b: tensor(device, [poison]) };
    const { norm, scale } = scope(() => clipScale([gradients.a, gradients.b], 1));
    scope(() => optimizer.step(gradients, { learningRate: 0.1, gradientScale: scale }));
    expect(Number.isFinite(await norm.item())).toBe(false);
    expect(await scale.item()).toBeNaN();
    expect([...await params.a.read(), ...await params.b.read()]).toEqual([1, 2, 3]);
    expect([...await optimizer.mean.a.read()]).toEqual([0, 0]);
    optimizer[Symbol.dispose]();
    disposeTree([params, gradients, norm, scale]);
  }
  expect(device.liveBuffers).toBe(0);
});

test("the low-precision copy is the rounded parameter after every step", async () => {
  const device = referenceDevice();
  const params = { w: tensor(device, [0.1, -0.7, 3.3], [1, 3]) };
  const copies = { w: tensor(device, [9, 9, 9], [1, 3], "bf16") };
  const optimizer = new AdamW(params);
  const gradients = { w: tensor(device, [1, -2, 0.5], [1, 3]) };
  for (let step = 0; step < 4; step++) {
    scope(() => optimizer.step(gradients, { learningRate: 0.01, copies }));
    const rounded = tensor(device, Array.from(await params.w.read()), [1, 3], "bf16");
    expect([...await copies.w.read()]).toEqual([...await rounded.read()]);
    rounded.dispose();
  }
});

/** A matrix with factors that were taken from earlier weights. */
function usedMatrix(device: Device, O: number, C: number): Fp8Matrix {
  const matrix = fp8Matrix(device, O, C);
  scope(() => {
    const row = [1 / 96, 1, 96, 0.25, 3, ...new Array<number>(fp8Columns.count - 5).fill(0)];
    assign(matrix.scaling, tensor(device, fp8Rows.flatMap(() => row), [fp8Rows.length, fp8Columns.count]));
  });
  return matrix;
}

test.each([[1], [NaN]])("weights in fp8 are those after the step, cast by the factor in force, with a gradient scale of %d", async (factor) => {
  const device = referenceDevice();
  const weights = (seed: number): { key: Tensor; value: Tensor; norm: Tensor } => {
    const values = (n: number, offset: number): number[] => Array.from({ length: n }, (_, i) => 7 * Math.sin(seed + offset + i));
    return { key: tensor(device, values(6, 0), [2, 3]), value: tensor(device, values(12, 50), [4, 3]), norm: tensor(device, values(3, 90)) };
  };
  const [params, plain, gradients] = [weights(1), weights(1), weights(2)];
  const copies = mapTree(params, ({ shape, size }) => tensor(device, new Array<number>(size).fill(9), shape, "bf16"));
  const [written, expected] = [usedMatrix(device, 6, 3), usedMatrix(device, 6, 3)];
  const [optimizer, other] = [new AdamW(params), new AdamW(plain)];
  const gradientScale = tensor(device, [factor], []);
  const fp8 = new Map([[params.value, { matrix: written, row: 2 }], [params.key, { matrix: written, row: 0 }]]);
  const bytes = async (tree: unknown): Promise<Uint8Array[]> => Promise.all(tensorsIn(tree).map((tensor) => tensor.bytes()));
  for (let step = 0; step < 3; step++) {
    scope(() => {
      optimizer.step(gradients, { learningRate: 0.1, gradientScale, copies, fp8 });
      other.step(gradients, { learningRate: 0.1, gradientScale });
      writeFp8(expected, [plain.key, plain.value]);
    });
    expect(await bytes([params, optimizer.mean, optimizer.variance, written])).toEqual(await bytes([plain, other.mean, other.variance, expected]));
    const rounded = scope(() => mapTree(plain, (p) => cast(p, "bf16")));
    expect(await bytes(copies)).toEqual(await bytes(rounded));
    disposeTree(rounded);
  }
  const top = Math.max(...(await Promise.all([params.key.read(), params.value.read()])).flatMap((values) => Array.from(values, Math.abs)));
  expect((await written.scaling.read())[fp8Rows.indexOf("weight") * fp8Columns.count + fp8Columns.amax]).toBeGreaterThanOrEqual(top);
  for (const owner of [optimizer, other]) owner[Symbol.dispose]();
  disposeTree([params, plain, gradients, copies, written, expected, gradientScale]);
  expect(device.liveBuffers).toBe(0);
});

test("a device takes all parameters at once, or one by one where it has no kernel for some", () => {
  const step = (kernelTakes: (size: number) => boolean): number[] => {
    const taken: number[] = [];
    const device = referenceDevice().provide(
      adamwOp, (_, { parameters }) => void taken.push(parameters.length),
      (x, attrs) => adamwParameters(x, attrs).every(({ param }) => kernelTakes(param.size)),
    );
    const params = [1, 2, 3].map((size) => tensor(device, new Array<number>(size).fill(1)));
    using optimizer = new AdamW(params);
    scope(() => optimizer.step(params, { learningRate: 0.1 }));
    return taken;
  };
  expect(step(() => true)).toEqual([3]);
  expect(step((size) => size !== 2)).toEqual([1, 1]);
});

test("shapes and types that do not fit are refused before anything is written", async () => {
  const device = referenceDevice();
  const [two, three, low] = [tensor(device, [1, 2]), tensor(device, [1, 2, 3]), tensor(device, [1, 2], [2], "bf16")];
  const attrs = { learningRate: 0.1, beta1: 0.9, beta2: 0.95, eps: 1e-8, step: 1 };
  const step = (param: Tensor, changed: Partial<AdamWParameter> = {}, scale: Tensor | null = null): void => {
    const good = { param: three, gradient: three, mean: three, variance: three, copy: null, fp8: null, weightDecay: 0 };
    adamw([good, { ...good, param, gradient: param, mean: param, variance: param, ...changed }], scale, attrs);
  };
  expect(() => step(two, { gradient: three })).toThrow("adamw: expected [2] throughout, got [3]");
  expect(() => step(low)).toThrow("adamw: expected an f32 param, got bf16");
  expect(() => step(two, {}, two)).toThrow("expected one f32 gradient scale, got f32 [2]");
  expect([...await three.read()]).toEqual([1, 2, 3]);
  const [weight, matrix] = [tensor(device, [1, 2, 3, 4], [2, 2]), fp8Matrix(device, 3, 2)];
  const written = (param: Tensor, row: number, to: Fp8Matrix): void => step(param, { fp8: { matrix: to, row } });
  expect(() => written(weight, 2, matrix)).toThrow("adamw: expected a parameter within the rows of [3, 2], got [2, 2] at 2");
  expect(() => written(weight, -1, matrix)).toThrow("got [2, 2] at -1");
  expect(() => written(two, 0, matrix)).toThrow("got [2] at 0");
  expect(() => written(weight, 0, { ...matrix, transposed: matrix.rowwise })).toThrow(
    "adamw: expected a matrix [O, C] and its transpose, got [3, 2] and [3, 2]",
  );
  const optimizer = new AdamW({ weight });
  expect(() => optimizer.step({ weight }, { learningRate: 0.1, fp8: new Map([[two, { matrix, row: 0 }]]) })).toThrow(
    "adamw: expected parameters of this optimizer as keys of fp8, got 1 other tensors",
  );
  expect(optimizer.steps).toBe(0);
});

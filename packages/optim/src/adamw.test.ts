import { disposeTree, referenceDevice, scope, tensor, type DType, type Tensor } from "@danu/tensor";
import { goldenAdamw } from "@danu/testing";
import { expect, test } from "vitest";

import { adamw, AdamW, clipScale } from "./index.ts";

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

test("a gradient scale that is not finite writes nothing: neither parameter, moments nor copy", async () => {
  const device = referenceDevice();
  const make = (values: readonly number[], dtype: DType = "f32"): Tensor => tensor(device, values, [2], dtype);
  for (const poison of [NaN, Infinity, -Infinity]) {
    const [param, mean, variance] = [make([1, -2]), make([0.5, 0.25]), make([0.125, 1])];
    const [gradient, copy, scale] = [make([poison, 3]), make([1, -2], "bf16"), tensor(device, [poison], [])];
    const attrs = { learningRate: 0.1, beta1: 0.9, beta2: 0.95, eps: 1e-8, weightDecay: 0.1, step: 3 };
    scope(() => adamw(param, gradient, mean, variance, scale, copy, attrs));
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

test("shapes and types that do not fit are refused", () => {
  const device = referenceDevice();
  const [two, three, low] = [tensor(device, [1, 2]), tensor(device, [1, 2, 3]), tensor(device, [1, 2], [2], "bf16")];
  const attrs = { learningRate: 0.1, beta1: 0.9, beta2: 0.95, eps: 1e-8, weightDecay: 0.1, step: 1 };
  expect(() => adamw(two, three, two, two, null, null, attrs)).toThrow("adamw: expected [2] throughout, got [3]");
  expect(() => adamw(low, two, two, two, null, null, attrs)).toThrow("adamw: expected an f32 param, got bf16");
  expect(() => adamw(two, two, two, two, two, null, attrs)).toThrow("expected one f32 gradient scale, got f32 [2]");
});

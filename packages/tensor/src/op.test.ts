import { describe, expect, expectTypeOf, test } from "vitest";

import * as t from "./index.ts";
import type { PrimitiveKernels } from "./index.ts";

/** `x · factor`, as a package of its own would define it. */
const scaledOp: t.Op<readonly [t.Tensor], readonly [t.Tensor], { readonly factor: number }> = t.defineOp({
  name: "scaled",
  infer: ([x]) => [{ shape: x.shape, dtype: x.dtype }],
  vjp: ([g], _, __, { factor }) => [g && t.mul(g, factor)],
  decompose: ([x], { factor }) => [t.mul(x, factor)],
  saves: { inputs: [], outputs: [] },
});

async function resultOn(device: t.Device, x: readonly number[]): Promise<{ y: number[]; gradient: number[] }> {
  const [y, [, gradient]] = t.scope(() => {
    const input = t.tensor(device, x);
    return [
      t.run(scaledOp, [input], { factor: 3 })[0],
      t.valueAndGrad((u: t.Tensor) => t.sum(t.run(scaledOp, [u], { factor: 3 })[0]))(input),
    ];
  });
  const read = { y: Array.from(await y.read()), gradient: Array.from(await gradient.read()) };
  y.dispose();
  gradient.dispose();
  return read;
}

describe("an op of another package", () => {
  test("runs by its decomposition, with its own gradient rule", async () => {
    expect(await resultOn(t.referenceDevice(), [1, -2])).toEqual({ y: [3, -6], gradient: [3, 3] });
  });

  test("runs by the kernel a device provides, with the same gradient", async () => {
    const device = t.referenceDevice();
    let calls = 0;
    device.provide(scaledOp, ([y], [x], { factor }) => {
      calls++;
      device.store(
        y,
        Float64Array.from(device.load(x), (value) => value * factor)
      );
    });
    expect(await resultOn(device, [1, -2])).toEqual({ y: [3, -6], gradient: [3, 3] });
    expect(calls).toBe(2);
  });

  test("runs by its decomposition where the kernel does not accept the call", async () => {
    const device = t.referenceDevice();
    device.provide(
      scaledOp,
      () => {
        throw new Error("must not run");
      },
      ([x], { factor }) => x.size > 2 || factor === 0
    );
    expect(await resultOn(device, [1, -2])).toEqual({ y: [3, -6], gradient: [3, 3] });
  });
});

test("a primitive without a kernel names itself and the device", () => {
  const missing = t.defineOp<readonly [t.Tensor], readonly [t.Tensor], null>({
    name: "missing",
    infer: ([x]) => [x],
    vjp: null,
    decompose: null,
  });
  const device = t.referenceDevice();
  expect(() => t.scope(() => t.run(missing, [t.ones(device, [1])], null))).toThrow(
    "missing: the reference device has no kernel for this primitive"
  );
  expect(() => t.run(missing, [null] as never, null)).toThrow("missing: no input tells on which device to run");
});

test("an op without a gradient says so when one is asked for", () => {
  const device = t.referenceDevice();
  device.provide(t.swigluGradOp, ([y, z]) => [y, z].forEach((out) => device.store(out, new Float64Array(out.size))));
  expect(() =>
    t.scope(() =>
      t.valueAndGrad((x: t.Tensor) => t.sum(t.run(t.swigluGradOp, [x, x, x], null)[0]))(t.ones(device, [1, 2]))
    )
  ).toThrow("swigluGrad: has no gradient; compute it outside of valueAndGrad or stop the gradient");
  expect(device.liveBuffers).toBe(0);
});

test("an id out of range fails at the next read, once", async () => {
  const device = t.referenceDevice();
  const y = t.scope(() => t.embedding(t.tensor(device, [1, 9], [2], "i32"), t.ones(device, [3, 2])));
  await expect(y.read()).rejects.toThrow("embedding: expected ids from 0 to 2, got 9");
  expect([...(await y.read())]).toEqual([1, 1, 0, 0]);
  y.dispose();
});

test("types: wrong kernels, gradients and attributes do not compile", () => {
  const device = t.referenceDevice();
  const { add: _, ...withoutAdd } = {} as PrimitiveKernels;
  const wrong = (): void => {
    // @ts-expect-error: the attribute is called factor
    device.provide(scaledOp, (_y, _x, { scale }) => scale);
    // @ts-expect-error: the op has one input
    device.provide(scaledOp, (_y, [_a, _b]) => undefined);
    // @ts-expect-error: a primitive is missing
    t.providePrimitives(device, withoutAdd);
    type Unary = Parameters<typeof t.defineOp<readonly [t.Tensor], readonly [t.Tensor], null>>[0];
    const parts: Pick<Unary, "name" | "infer" | "decompose"> = { name: "x", infer: ([x]) => [x], decompose: null };
    // @ts-expect-error: one input, two gradients
    t.defineOp<readonly [t.Tensor], readonly [t.Tensor], null>({ ...parts, vjp: ([g]) => [g, g] });
    // @ts-expect-error: the gradient rule is missing
    t.defineOp<readonly [t.Tensor], readonly [t.Tensor], null>(parts);
    // @ts-expect-error: factor must be a number
    t.run(scaledOp, [t.ones(device, [1])], { factor: "3" });
    // @ts-expect-error: no such element type
    t.ones(device, [1], "f64");
  };
  expect(wrong).toBeTypeOf("function");
  expectTypeOf<t.KernelOf<typeof scaledOp>>().parameters.toEqualTypeOf<
    [readonly [t.Tensor], readonly [t.Tensor], { readonly factor: number }]
  >();
  expectTypeOf(t.valueAndGrad((p: { w: t.Tensor; n: null }) => p.w)).returns.toEqualTypeOf<
    [loss: t.Tensor, gradients: { readonly w: t.Tensor; readonly n: null }]
  >();
});

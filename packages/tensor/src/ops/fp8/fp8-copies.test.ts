import { fp8Blocks, hostTensor, times, upload } from "@danu/testing";
import fc from "fast-check";
import { afterEach, expect, test } from "vitest";

import * as t from "../../index.ts";

const device = t.referenceDevice();
afterEach(() => { expect(device.liveBuffers).toBe(0); });

const sizes = fc.record({
  rows: fc.constantFrom([1], [5], [2, 9], [17]), C: fc.integer({ min: 1, max: 9 }), F: fc.integer({ min: 1, max: 7 }), blocks: fc.integer({ min: 1, max: 3 }),
  dtype: fc.constantFrom<t.DType>("f32", "bf16"), calibrate: fc.boolean(), seed: fc.nat(),
});

test("gradients that are cast by the op that makes them have the same bits as those that are cast by the op that reads them", async () => {
  await fc.assert(fc.asyncProperty(sizes, async (size) => {
    // Views in between make no copies, and change nothing else.
    expect(await fp8Blocks(device, size, (x) => x)).toEqual(await fp8Blocks(device, size, (x) => t.reshape(t.reshape(x, [-1]), x.shape)));
  }), times(40));
});

test("copies are made where the next op reads them, and where nothing is added to the gradient any more", () => {
  const rows = 5;
  /** Shapes of the copies that come with a gradient to a layer whose result `use` reads. */
  const arriving = (use: (y: t.Tensor, feedForward: (x: t.Tensor) => t.Tensor) => t.Tensor, calibrate = false): readonly (readonly number[])[] => {
    const shapes: (readonly number[])[] = [];
    t.scope(() => {
      const draw = (...shape: number[]): t.Tensor => upload(device, hostTensor("f32", shape, shape.length));
      const [weight, gate, down] = [draw(4, 3), draw(6, 4), draw(4, 6)];
      const matrices = ([[4, 3], [12, 4], [4, 6]] as const).map(([O, C]) => t.fp8Matrix(device, O, C));
      const [matrix, gateUp, last] = matrices as [t.Fp8Matrix, t.Fp8Matrix, t.Fp8Matrix];
      const spied: typeof t.fp8LinearOp = {
        ...t.fp8LinearOp,
        vjp: (g, x, y, attrs, needs, beside) => {
          shapes.push(...beside.companions.map(({ shape }) => shape));
          return t.fp8LinearOp.vjp!(g, x, y, attrs, needs, beside);
        },
      };
      t.valueAndGrad((w: t.Tensor) => {
        const [y] = t.run(spied, [draw(rows, 3), w, null, matrix.scaling, matrix.rowwise, matrix.transposed], { calibrate });
        return t.sum(use(y, (x) => t.fp8FeedForward(x, draw(4), { gate, up: gate, down }, gateUp, last)));
      })(weight);
      t.disposeTree(matrices);
    });
    return shapes;
  };
  const copies = [[rows, 4], [4, 16]];
  expect(arriving((y, feedForward) => feedForward(y))).toEqual(copies);
  expect(arriving((y, feedForward) => t.add(feedForward(y), y))).toEqual(copies);
  expect(arriving((y, feedForward) => t.add(feedForward(y), feedForward(y)))).toEqual(copies);
  expect(arriving((y, feedForward) => { const first = t.mul(y, 2); return t.add(feedForward(y), first); })).toEqual([]);
  expect(arriving((y, feedForward) => feedForward(t.mul(y, 2)))).toEqual([]);
  expect(arriving((y, feedForward) => t.remat(feedForward)(y))).toEqual([]);
  expect(arriving((y) => y)).toEqual([]);
  expect(arriving((y, feedForward) => feedForward(y), true)).toEqual([]);
});

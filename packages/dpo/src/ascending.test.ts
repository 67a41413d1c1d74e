import { disposeTree, mul, referenceDevice, scope, sum, tensor, valueAndGrad, type Tensor } from "@danu/tensor";
import { times } from "@danu/testing";
import fc from "fast-check";
import { expect, test } from "vitest";

import { ascending } from "./ascending.ts";

test("sorts, ties included, and sends gradients back to where each element came from", async () => {
  const device = referenceDevice();
  const element = fc.oneof(fc.integer({ min: -3, max: 3 }), fc.float({ noNaN: true, noDefaultInfinity: true }));
  await fc.assert(
    fc.asyncProperty(fc.array(element, { maxLength: 12 }), async (values) => {
      const x = tensor(device, values);
      const weights = tensor(
        device,
        values.map((_, i) => i + 1),
      );
      const [loss, gradient] = valueAndGrad((given: Tensor) => sum(mul(ascending(given), weights)))(x);
      const y = scope(() => ascending(x));
      const order = values.map((_, i) => i).sort((i, j) => values[i]! - values[j]!);
      // The scatter adds to 0, which has no sign.
      expect(Array.from(await y.read())).toEqual(order.map((i) => values[i]! + 0));
      const places = await gradient.read();
      order.forEach((from, rank) => expect(places[from]).toBe(rank + 1));
      disposeTree([x, weights, loss, gradient, y]);
    }),
    times(100),
  );
  expect(device.liveBuffers).toBe(0);
});

test("sorts thousands", async () => {
  const device = referenceDevice();
  const values = Array.from({ length: 2000 }, (_, i) => Math.fround(Math.sin(i * 7.1) * 100));
  const x = tensor(device, values);
  const y = scope(() => ascending(x));
  expect(Array.from(await y.read())).toEqual(values.toSorted((a, b) => a - b));
  disposeTree([x, y]);
});

test("a NaN is not lost", async () => {
  const device = referenceDevice();
  const x = tensor(device, [3, NaN, 1]);
  const y = scope(() => sum(ascending(x)));
  expect(await y.item()).toBeNaN();
  disposeTree([x, y]);
});

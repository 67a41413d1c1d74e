import { disposeTree, referenceDevice, scope, sum, tensor, valueAndGrad } from "@danu/tensor";
import { expectClose } from "@danu/testing";
import { expect, test } from "vitest";

import { expMinusOne, logSigmoid, logSigmoidOp } from "./stable.ts";

const points = [0, 1e-8, 1e-4, 0.3, 1, 5, 16, 17, 20, 40, 80, 100, 1e4].flatMap((x) => [x, -x]).map(Math.fround);

test.each([
  ["f32", 3e-7],
  ["f64", 1e-14],
] as const)("log σ and its gradient have full relative precision in %s", async (precision, rtol) => {
  const device = referenceDevice(precision === "f64" ? { precision } : {});
  const x = tensor(device, points);
  const y = scope(() => logSigmoid(x));
  expectClose(
    await y.read(),
    points.map((value) => Math.min(value, 0) - Math.log1p(Math.exp(-Math.abs(value)))),
    { rtol, atol: 1e-38 },
  );
  const [loss, gradient] = valueAndGrad((given: typeof x) => sum(logSigmoid(given)))(x);
  expectClose(
    await gradient.read(),
    points.map((value) => 1 / (1 + Math.exp(value))),
    { rtol, atol: 1e-38 },
  );
  disposeTree([x, y, loss, gradient]);
  expect(device.liveBuffers).toBe(0);
});

test("the decomposition has the same gradient, ½ at 0 too", async () => {
  const device = referenceDevice({ precision: "f64" });
  const x = tensor(device, [0, -0, 1e-300, 3, -3, 800, -800]);
  const [loss, gradient] = valueAndGrad((given: typeof x) => sum(logSigmoidOp.decompose!([given], null)[0]))(x);
  const wanted = [0.5, 0.5, 0.5, 1 / (1 + Math.exp(3)), 1 / (1 + Math.exp(-3)), 0, 1];
  expectClose(await gradient.read(), wanted, { rtol: 1e-14 });
  disposeTree([x, loss, gradient]);
  expect(device.liveBuffers).toBe(0);
});

test("eˣ − 1 has no cancellation around 0", async () => {
  const device = referenceDevice();
  const values = points.filter((value) => value <= 80);
  const x = tensor(device, values);
  const y = scope(() => expMinusOne(x));
  expectClose(await y.read(), values.map(Math.expm1), { rtol: 5e-7 });
  disposeTree([x, y]);
});

test("log σ of integers is refused", () => {
  const device = referenceDevice();
  using x = tensor(device, [1], [1], "i32");
  expect(() => logSigmoid(x)).toThrow("logSigmoid: expected a float tensor, got i32");
});

import { expect, test } from "vitest";

import * as t from "./index.ts";

test("a small network has the gradient of finite differences, also under remat, and leaves no memory", async () => {
  const device = t.referenceDevice({ precision: "f64" });
  const random = (n: number, seed: number): Float64Array =>
    Float64Array.from({ length: n }, (_, i) => Math.sin(seed + i * 1.7));
  const make = (bump: number): { w: t.Tensor; n: t.Tensor; v: t.Tensor } => {
    const w = random(12, 1);
    w[5]! += bump;
    return {
      w: t.tensor(device, w, [4, 3]),
      n: t.tensor(device, random(4, 2), [4]),
      v: t.tensor(device, random(24, 3), [6, 4]),
    };
  };
  const x = t.tensor(device, random(6, 4), [2, 3]);
  const targets = t.tensor(device, [2, 5], [2], "i32");
  const block = (p: { w: t.Tensor; n: t.Tensor }, u: t.Tensor): t.Tensor => {
    const h = t.linear(u, p.w);
    return t.rmsNorm(t.swiglu(h, t.tanh(h)), p.n);
  };
  for (const f of [block, t.remat(block)]) {
    const loss = (p: { w: t.Tensor; n: t.Tensor; v: t.Tensor }): t.Tensor =>
      t.linearCrossEntropy(f(p, x), p.v, targets, { scale: 0.5 });
    const at = async (bump: number): Promise<number> => {
      const params = make(bump);
      const value = t.scope(() => loss(params));
      t.disposeTree(params);
      const number = await value.item();
      value.dispose();
      return number;
    };
    const params = make(0);
    const [value, gradients] = t.scope(() => t.valueAndGrad(loss)(params));
    const expected = ((await at(1e-5)) - (await at(-1e-5))) / 2e-5;
    expect((await gradients.w.read())[5]).toBeCloseTo(expected, 8);
    expect(await value.item()).toBeCloseTo(await at(0), 12);
    t.disposeTree([value, gradients, params]);
  }
  t.disposeTree([x, targets]);
  expect(device.liveBuffers).toBe(0);
});

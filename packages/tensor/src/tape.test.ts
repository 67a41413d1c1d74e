import { expectClose } from "@danu/testing";
import { afterEach, describe, expect, test } from "vitest";

import * as t from "./index.ts";

const device = t.referenceDevice({ precision: "f64" });
afterEach(() => { expect(device.liveBuffers).toBe(0); });

const vector = (...values: number[]): t.Tensor => t.tensor(device, values);

/** Runs `f` in a scope and reads every tensor it returns. */
async function values(f: () => readonly t.Tensor[]): Promise<number[][]> {
  const tensors = t.scope(f);
  const lists: number[][] = [];
  for (const tensor of tensors) lists.push(Array.from(await tensor.read()));
  t.disposeTree(tensors);
  return lists;
}

describe("valueAndGrad", () => {
  test("gives the loss and a gradient for every leaf, zeros where it is not used", async () => {
    const [loss, used, unused] = await values(() => {
      const params = { used: vector(1, 2), deep: [{ unused: vector(5, 6, 7) }, null] };
      const [value, gradients] = t.valueAndGrad((p: typeof params) => t.sum(t.mul(p.used, p.used)))(params);
      expect(gradients.deep[1]).toBeNull();
      return [value, gradients.used, (gradients.deep[0] as { unused: t.Tensor }).unused];
    });
    expect([loss, used, unused]).toEqual([[5], [2, 4], [0, 0, 0]]);
  });

  test("adds up the uses of a parameter, within an op and between ops", async () => {
    const [gradient] = await values(() => {
      const [, g] = t.valueAndGrad((x: t.Tensor) => t.sum(t.add(t.mul(x, x), t.add(x, t.mul(x, 3)))))(vector(1, -2));
      return [g];
    });
    expect(gradient).toEqual([6, 0]);
  });

  test("sums the gradient over broadcast axes, leading and stretched", async () => {
    const [scalar, row, column] = await values(() => {
      const params = { scalar: t.full(device, [], 2), row: t.ones(device, [3]), column: t.ones(device, [2, 1]) };
      const [, g] = t.valueAndGrad((p: typeof params) => t.sum(t.mul(t.mul(p.scalar, p.row), p.column)))(params);
      expect([g.scalar.shape, g.row.shape, g.column.shape]).toEqual([[], [3], [2, 1]]);
      return [g.scalar, g.row, g.column];
    });
    expect([scalar, row, column]).toEqual([[6], [4, 4, 4], [6, 6]]);
  });

  test("passes over integer results and integer parameters", async () => {
    const [gradient, ids] = await values(() => {
      const params = { x: vector(3, -1, 2), ids: t.tensor(device, [1, 1], [2], "i32") };
      const [, g] = t.valueAndGrad((p: typeof params) => {
        const top = t.equal(t.argmax(p.x), t.iota(device, 3));
        return t.sum(t.add(t.where(top, p.x, t.zeros(device, [])), t.sum(t.embedding(p.ids, t.reshape(p.x, [3, 1])))));
      })(params);
      return [g.x, g.ids];
    });
    expect([gradient, ids]).toEqual([[1, 6, 0], [0, 0]]);
  });

  test("takes the loss to be a parameter itself, or a constant", async () => {
    const [same, other] = await values(() => {
      const x = t.full(device, [], 7);
      const losses = { used: (p: t.Tensor) => p, unused: () => t.full(device, [], 3) };
      return [t.valueAndGrad(losses.used)(x)[1], t.valueAndGrad<t.Tensor, []>(losses.unused)(x)[1]];
    });
    expect([same, other]).toEqual([[1], [0]]);
  });

  test("stops where it is told to", async () => {
    const loss = (x: t.Tensor): t.Tensor => t.sum(t.mul(x, t.stopGradient(x)));
    const [gradient] = await values(() => [t.valueAndGrad(loss)(vector(3, 4))[1]]);
    expect(gradient).toEqual([3, 4]);
  });

  test("wants one f32 number", () => {
    const grad = (f: (x: t.Tensor) => t.Tensor): unknown => t.scope(() => t.valueAndGrad(f)(vector(1, 2)));
    expect(() => grad((x) => x)).toThrow("valueAndGrad: expected a loss that is one f32 number, got f32 [2]");
    expect(() => grad((x) => t.argmax(x))).toThrow("got i32 []");
    expect(() => grad((x) => t.cast(t.sum(x), "bf16"))).toThrow("got bf16 []");
  });

  test("leaves nothing behind when the loss or a gradient rule throws", () => {
    expect(() => t.scope(() => t.valueAndGrad((x: t.Tensor) => {
      t.exp(t.mul(x, x));
      throw new Error("stop");
    })(vector(1)))).toThrow("stop");
    const broken: t.Op<readonly [t.Tensor], readonly [t.Tensor], null> = t.defineOp({
      name: "broken", infer: ([x]) => [x], vjp: () => { throw new Error("no rule"); }, decompose: ([x]) => [t.neg(x)],
    });
    const loss = (x: t.Tensor): t.Tensor => t.sum(t.run(broken, [t.exp(x)], null)[0]);
    expect(() => t.scope(() => t.valueAndGrad(loss)(vector(1)))).toThrow("no rule");
  });

  test("differentiates its own gradients: x³ twice and thrice", async () => {
    const cube = (x: t.Tensor): t.Tensor => t.sum(t.mul(x, t.mul(x, x)));
    const derivative = (f: (x: t.Tensor) => t.Tensor) => (x: t.Tensor): t.Tensor => t.sum(t.valueAndGrad(f)(x)[1]);
    const [second, third] = await values(() => {
      const x = vector(2, -1);
      return [t.valueAndGrad(derivative(cube))(x)[1], t.valueAndGrad(derivative(derivative(cube)))(x)[1]];
    });
    expect(second).toEqual([12, -6]);
    expect(third).toEqual([6, 6]);
  });

  test("differentiates the gradients of smooth elementwise ops", async () => {
    const at = 0.7;
    const seconds: readonly [(x: t.Tensor) => t.Tensor, number][] = [
      [t.exp, Math.exp(at)], [t.log, -1 / at ** 2], [t.sin, -Math.sin(at)], [t.cos, -Math.cos(at)],
      [t.sqrt, -0.25 * at ** -1.5], [t.tanh, -2 * Math.tanh(at) * (1 - Math.tanh(at) ** 2)],
    ];
    for (const [f, expected] of seconds) {
      const [gradient] = await values(() => [
        t.valueAndGrad((x: t.Tensor) => t.sum(t.valueAndGrad((u: t.Tensor) => t.sum(f(u)))(x)[1]))(vector(at))[1],
      ]);
      expectClose(gradient!, [expected], { rtol: 1e-12 });
    }
  });
});

test("accumulateGrad adds what valueAndGrad would give", async () => {
  const loss = (p: { w: t.Tensor; unused: t.Tensor }, x: t.Tensor): t.Tensor => t.sum(t.exp(t.mul(p.w, x)));
  const [sum, untouched, a, b] = await values(() => {
    const params = { w: vector(0.5, -0.5), unused: vector(1) };
    const into = { w: vector(10, 20), unused: vector(9) };
    const batches = [vector(1, 2), vector(3, -1)];
    for (const batch of batches) t.accumulateGrad(loss)(into, params, batch);
    return [into.w, into.unused, ...batches.map((batch) => t.valueAndGrad(loss)(params, batch)[1].w)];
  });
  expectClose(sum!, [10 + a![0]! + b![0]!, 20 + a![1]! + b![1]!], { rtol: 1e-12 });
  expect(untouched).toEqual([9]);
});

describe("memory", () => {
  const layer = (x: t.Tensor, w: t.Tensor): t.Tensor => t.tanh(t.mul(t.sin(t.mul(x, w)), t.exp(x)));

  /** Most buffers at once while `f` runs, counted after every op. */
  function peak(f: () => unknown): number {
    let most = 0;
    const counting = t.defineOp<readonly [t.Tensor], readonly [t.Tensor], null>({
      name: "count", infer: ([x]) => [x], decompose: null,
      vjp: ([g]) => { most = Math.max(most, device.liveBuffers); return [g]; },
    });
    device.provide(counting, ([y], [x]) => {
      most = Math.max(most, device.liveBuffers);
      device.store(y, device.load(x));
    });
    count = (x) => t.run(counting, [x], null)[0];
    t.scope(() => { f(); });
    return most;
  }
  let count = (x: t.Tensor): t.Tensor => x;

  const deep = (block: (x: t.Tensor, w: t.Tensor) => t.Tensor) => (w: t.Tensor): t.Tensor => {
    let x = t.full(device, [2], 0.3);
    for (let i = 0; i < 12; i++) x = count(t.scope(() => block(x, w)));
    return t.sum(x);
  };

  test("remat has the bits of the plain function and keeps a fraction of its activations", async () => {
    const [plainLoss, plainGradient, loss, gradient] = await values(() => {
      const w = vector(0.4, 0.9);
      return [...t.valueAndGrad(deep(layer))(w), ...t.valueAndGrad(deep(t.remat(layer)))(w)];
    });
    expect([loss, gradient]).toEqual([plainLoss, plainGradient]);
    const plain = peak(() => t.valueAndGrad(deep(layer))(vector(0.4, 0.9)));
    const rematerialised = peak(() => t.valueAndGrad(deep(t.remat(layer)))(vector(0.4, 0.9)));
    expect(rematerialised).toBeLessThan(plain / 2);
  });

  test("remat takes trees, other arguments and more tensors than any op", async () => {
    const many = Array.from({ length: 20 }, (_, i) => i / 10);
    const f = (p: { list: readonly t.Tensor[]; none: null }, factor: number): t.Tensor => (
      t.sum(t.mul(p.list.map((x) => t.mul(x, x)).reduce((a, b) => t.add(a, b)), factor))
    );
    const gradients = await values(() => {
      const params = { list: many.map((x) => t.full(device, [], x)), none: null };
      return t.valueAndGrad((p: typeof params) => t.remat(f)(p, 3))(params)[1].list as readonly t.Tensor[];
    });
    expectClose(gradients.flat(), many.map((x) => 6 * x), { rtol: 1e-12 });
  });

  test("remat refuses to lose the gradient of a tensor that it is not given", () => {
    const hidden = (f: (w: t.Tensor) => t.Tensor): unknown => t.scope(() => t.valueAndGrad(f)(vector(1, 2)));
    const message = "remat: mul reads a differentiated tensor that is not an argument of the function; pass it as one";
    expect(() => hidden((w) => t.sum(t.remat((x: t.Tensor) => t.mul(x, w))(t.exp(w))))).toThrow(message);
    const inner = (w: t.Tensor): ((y: t.Tensor) => t.Tensor) => t.remat((y: t.Tensor) => t.mul(y, w));
    expect(() => hidden((w) => t.sum(t.remat((x: t.Tensor) => inner(w)(x))(t.exp(w))))).toThrow(message);
    t.scope(() => { hidden((w) => t.sum(t.remat((x: t.Tensor) => t.mul(x, t.stopGradient(w)))(t.exp(w)))); });
  });

  test("a finished gradient leaves the loss and the gradients alone", () => {
    const before = device.liveBuffers;
    const [value, gradient] = t.scope(() => {
      const w = t.keep(vector(0.4, 0.9));
      const both = t.valueAndGrad(deep(layer))(w);
      w.dispose();
      expect(device.liveBuffers).toBe(before + 2);
      return both;
    });
    t.disposeTree([value, gradient]);
  });
});

test("tensors under differentiation cannot be written to", () => {
  const inPlace = [
    (x: t.Tensor) => t.assign(x, t.ones(device, [2])), (x: t.Tensor) => t.addInto(x, t.ones(device, [2])),
    (x: t.Tensor) => t.scaleInto(x, t.full(device, [], 2)),
    (x: t.Tensor) => t.assignSlice(x, t.ones(device, [1]), 0, 0),
  ];
  for (const write of inPlace) {
    expect(() => t.scope(() => t.valueAndGrad((x: t.Tensor) => {
      write(t.exp(x));
      return t.sum(x);
    })(vector(1, 2)))).toThrow(t.GradientError);
  }
  expect(() => t.scope(() => t.valueAndGrad((x: t.Tensor) => {
    t.addInto(x, x);
    return t.sum(x);
  })(vector(1)))).toThrow("addInto: cannot write in place while its tensors are differentiated");
});

test("a loss that cannot be differentiated twice says so", () => {
  const loss = (x: t.Tensor): t.Tensor => (
    t.linearCrossEntropy(x, t.ones(device, [3, 2]), t.tensor(device, [1], [1], "i32"))
  );
  expect(() => t.scope(() => (
    t.valueAndGrad((x: t.Tensor) => t.sum(t.valueAndGrad(loss)(x)[1]))(t.ones(device, [1, 2]))
  ))).toThrow(t.GradientError);
});

test("pullback takes gradients of several results, and none for some", async () => {
  const [both, one] = await values(() => [[1, 1], [0, 1]].map(([first]) => {
    const { y, pull } = t.pullback((x) => [t.mul(x!, 2), t.mul(x!, x!)] as const, [vector(3)]);
    expect(y).toHaveLength(2);
    return pull([first === 1 ? vector(1) : null, vector(1)])[0]!;
  }));
  expect([both, one]).toEqual([[8], [6]]);
});

describe("a rule that completes a gradient", () => {
  /** Doubles x; its rule notes what has arrived for x, and gives no gradient where it is told so. */
  const doubling = (seen: (number[] | null)[], gives = true): t.Op<readonly [t.Tensor], readonly [t.Tensor], null> => (
    t.defineOp<readonly [t.Tensor], readonly [t.Tensor], null>({
      name: "doubling", infer: ([x]) => [{ shape: x.shape, dtype: x.dtype }],
      vjp: ([g], _, __, ___, ____, { arrived }) => {
        seen.push(arrived && [...arrived.shape]);
        if (g === null || !gives) return [null];
        const own = t.mul(g, 2);
        return [arrived === null ? own : t.add(own, arrived)];
      },
      decompose: ([x]) => [t.mul(x, 2)],
      completes: 0,
    })
  );

  test("gets what later ops left, and what earlier ones leave is added", async () => {
    const seen: (number[] | null)[] = [];
    const op = doubling(seen);
    const gradients = await values(() => {
      const grad = (f: (x: t.Tensor) => t.Tensor): t.Tensor => t.valueAndGrad((x: t.Tensor) => t.sum(f(x)))(vector(1, 3))[1];
      const double = (x: t.Tensor): t.Tensor => t.run(op, [x], null)[0];
      return [
        grad(double), grad((x) => t.add(double(x), t.mul(x, 5))), grad((x) => { const five = t.mul(x, 5); return t.add(double(x), five); }),
        grad((x) => double(double(x))), grad((x) => t.add(double(x), double(x))), grad((x) => double(t.stopGradient(x))),
      ];
    });
    expect(gradients).toEqual([[2, 2], [7, 7], [7, 7], [4, 4], [4, 4], [0, 0]]);
    expect(seen).toEqual([null, [2], null, null, null, null, [2]]);
  });

  test("loses nothing where it gives none, or where what has arrived is of another type", async () => {
    const seen: (number[] | null)[] = [];
    const [none, wide, apart] = await values(() => {
      const op = doubling(seen, false);
      const [, first] = t.valueAndGrad((x: t.Tensor) => t.sum(t.add(t.run(op, [x], null)[0], t.mul(x, 5))))(vector(1, 3));
      // The gradient of a weight is f32, that of what is normed has its type.
      const p = t.cast(t.tensor(device, [0.5, -1, 2, 0.25], [2, 2]), "bf16");
      const weight = t.ones(device, [2], "bf16");
      const loss = (normed: t.Tensor, read: t.Tensor): t.Tensor => t.sum(t.cast(t.linear(t.rmsNorm(normed, weight), read), "f32"));
      const [, both] = t.valueAndGrad((x: t.Tensor) => loss(x, x))(p);
      const [, { normed, read }] = t.valueAndGrad((x: { normed: t.Tensor; read: t.Tensor }) => loss(x.normed, x.read))({ normed: t.mul(p, 1), read: p });
      return [first, both, t.add(t.cast(normed, "f32"), read)];
    });
    expect(none).toEqual([5, 5]);
    expect(seen).toEqual([[2]]);
    expect(wide).toEqual(apart);
  });
});

test("leaves are visited in the order of their keys, with their paths", () => {
  using a = vector(1);
  using b = vector(2);
  const leaves = t.leavesOf({ layers: [{ query: a }, null], head: b });
  expect(leaves.map((leaf) => leaf.path)).toEqual(["layers.0.query", "head"]);
  expect(() => t.leavesOf({ rate: 3 })).toThrow("tree: expected tensors, arrays and plain objects, got number at rate");
});

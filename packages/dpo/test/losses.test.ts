import { disposeTree, mean, referenceDevice, scope, sum, tensor, valueAndGrad, type Tensor } from "@danu/tensor";
import { expectClose, gradcheck, type HostTensor } from "@danu/testing";
import { afterEach, describe, expect, test } from "vitest";

import { ktoExampleLoss, perToken, type LossName, type LossParameters, type PreferencePairs } from "../src/index.ts";
import { lossNames, lossOf, numbers, type HostPairs } from "./pairs.ts";

const f64 = referenceDevice({ precision: "f64" });
const f32 = referenceDevice();

afterEach(() => {
  expect(f64.liveBuffers).toBe(0);
  expect(f32.liveBuffers).toBe(0);
});

describe("one pair, computed by hand in double precision", () => {
  const pair: HostPairs = {
    chosen: [-10.25],
    rejected: [-14.5],
    referenceChosen: [-11],
    referenceRejected: [-13],
    chosenLengths: [5],
    rejectedLengths: [8],
    klEstimate: 0,
  };
  const epsilon = { beta: 0.1, labelSmoothing: 0.1 };
  const wanted: readonly (readonly [LossName, Partial<LossParameters>, number])[] = [
    ["sigmoid", { beta: 0.1 }, 0.586962002],
    ["hinge", { beta: 0.1 }, 0.775],
    ["ipo", { beta: 0.1 }, 21.73890625],
    ["sigmoid_norm", { beta: 0.1 }, 0.676414557],
    ["robust", epsilon, 0.558837002],
    ["cdpo", epsilon, 0.609462002],
    ["exo_pair", epsilon, 0.394038831],
    ["nca_pair", { beta: 0.1 }, 1.332503735],
    ["bco_pair", { beta: 0.1 }, 1.277307189],
    ["sppo_hard", { beta: 0.1 }, 30.3125],
    ["apo_zero", { beta: 0.1 }, 0.943828939],
    ["apo_down", { beta: 0.1 }, 0.962727325],
    ["discopop", { beta: 0.1, temperature: 0.05 }, 0.796191885],
    ["kto", { beta: 0.1 }, (0.481258784 + 0.462570155) / 2],
  ];

  test.each(wanted)("%s %j", async (name, parameters, value) => {
    const [found] = await numbers(f64, pair, (pairs) => lossOf(name)(pairs, parameters));
    expect(Math.abs(found! - value)).toBeLessThan(1e-9);
  });

  test("the hinge on mean log-probabilities of H2O LLM Studio", async () => {
    const [found] = await numbers(f64, pair, (pairs) => lossOf("hinge")(perToken(pairs), { beta: 0.1 }));
    expectClose([found!], [0.96625], { rtol: 1e-12 });
  });

  test("KTO of a desirable and an undesirable example", async () => {
    const x = {
      logProbabilities: tensor(f64, [-10.25, -14.5]),
      reference: tensor(f64, [-11, -13]),
      desirable: tensor(f64, [1, 0], [2], "u8"),
      klEstimate: tensor(f64, [0], []),
    };
    const losses = scope(() => ktoExampleLoss(x, { beta: 0.1 }));
    expectClose(await losses.read(), [0.481258784, 0.462570155], { rtol: 0, atol: 1e-9 });
    disposeTree([x, losses]);
  });
});

test("DPO at the reference is ln 2 to the last bit, with the gradient ∓β/2", async () => {
  const values = [-0.125, -17.3, -1234.567, -1e4].map(Math.fround);
  const policy = { chosen: tensor(f32, values), rejected: tensor(f32, values.toReversed()) };
  const reference = { referenceChosen: tensor(f32, values), referenceRejected: tensor(f32, values.toReversed()) };
  const losses = scope(() => lossOf("sigmoid")({ ...policy, ...reference }, { beta: 0.2 }));
  expect(Array.from(await losses.read())).toEqual(values.map(() => Math.fround(Math.log(2))));
  const [loss, gradients] = valueAndGrad((x: typeof policy) =>
    mean(lossOf("sigmoid")({ ...x, ...reference }, { beta: 0.2 })),
  )(policy);
  expect(await loss.item()).toBe(Math.fround(Math.log(2)));
  expectClose(
    await gradients.chosen.read(),
    values.map(() => -0.1 / 4),
    { rtol: 1e-7 },
  );
  expectClose(
    await gradients.rejected.read(),
    values.map(() => 0.1 / 4),
    { rtol: 1e-7 },
  );
  disposeTree([policy, reference, losses, loss, gradients]);
});

describe("gradients are those of central differences", () => {
  const host = (values: readonly number[], dtype: "f32" | "i32" = "f32"): HostTensor => ({
    shape: [values.length],
    dtype,
    values,
  });
  const inputs = [
    host([-3.5, -1.25, -8, -0.4]),
    host([-4, -1.5, -2.25, -6]),
    host([-3.25, -1.75, -5, -1]),
    host([-3, -1.6, -4.5, -3]),
    host([3, 1, 5, 2], "i32"),
    host([2, 4, 6, 1], "i32"),
  ];
  const asPairs = (x: readonly Tensor[]): PreferencePairs => ({
    chosen: x[0]!,
    rejected: x[1]!,
    referenceChosen: x[2]!,
    referenceRejected: x[3]!,
    chosenLengths: x[4]!,
    rejectedLengths: x[5]!,
  });

  test.each(lossNames)("%s", async (name) => {
    await gradcheck((...x) => {
      const z = tensor(x[0]!.device, [0.125], []);
      return lossOf(name)(name === "kto" ? { ...asPairs(x), klEstimate: z } : asPairs(x));
    }, inputs);
  });

  test.each(["forward_kl", "js_divergence", "alpha_divergence"] as const)("%s", async (divergence) => {
    await gradcheck((...x) => lossOf("sigmoid_norm")(asPairs(x), { divergence, divergenceAlpha: 1.6 }), inputs);
  });

  test("a weight of pairs is a constant, a KL estimate too", async () => {
    const x = uploadInputs(inputs);
    const weights = tensor(f64, [0.5, 2, 1, 0]);
    const [loss, gradients] = valueAndGrad((given: { weights: Tensor; z: Tensor }) =>
      sum(lossOf("kto")({ ...asPairs(x), weights: given.weights, klEstimate: given.z })),
    )({ weights, z: x[6]! });
    expect(Array.from(await gradients.weights.read())).toEqual([0, 0, 0, 0]);
    expect(await gradients.z.item()).toBe(0);
    disposeTree([x, weights, loss, gradients]);
  });

  function uploadInputs(hosts: readonly HostTensor[]): Tensor[] {
    return [...hosts.map(({ values, shape, dtype }) => tensor(f64, values, shape, dtype)), tensor(f64, [0.5], [])];
  }
});

describe("margins of every size stay finite, in f32 as in f64", () => {
  const sizes = [0, 1e-6, 1e-3, 0.5, 3, 16, 20, 50, 87, 89, 104, 700, 1e3, 1e4].flatMap((size) => [size, -size]);
  const beta = 0.125;
  // Log-ratios of ±size/β, one of the two answers, the other, or both by half.
  const [none, all, half] = [
    sizes.map(() => 0),
    sizes.map((size) => size / beta),
    sizes.map((size) => size / beta / 2),
  ];
  const minus = (values: readonly number[]): number[] => values.map((value) => -value);
  const margins: readonly (readonly [string, readonly number[], readonly number[]])[] = [
    ["chosen", all, none],
    ["rejected", none, minus(all)],
    ["both", half, minus(half)],
    ["equally", all, all],
  ];

  test.each(lossNames.flatMap((name) => margins.map((each) => [name, ...each] as const)))(
    "%s, %s",
    async (name, _, chosen, rejected) => {
      const policies = { chosen, rejected };
      const found = [];
      for (const device of [f64, f32]) {
        const policy = { chosen: tensor(device, policies.chosen), rejected: tensor(device, policies.rejected) };
        const rest = {
          referenceChosen: tensor(
            device,
            none.map(() => 0),
          ),
          referenceRejected: tensor(
            device,
            none.map(() => 0),
          ),
          chosenLengths: tensor(
            device,
            none.map(() => 1),
          ),
          rejectedLengths: tensor(
            device,
            none.map(() => 1),
          ),
          supervisedLoss: tensor(device, [1], []),
          klEstimate: tensor(device, [0.5], []),
        };
        const given = "beta" in lossOf(name).parameters ? { beta } : {};
        const losses = scope(() => lossOf(name)({ ...policy, ...rest }, given));
        const [loss, gradients] = valueAndGrad((x: typeof policy) => sum(lossOf(name)({ ...x, ...rest }, given)))(
          policy,
        );
        found.push(
          [await losses.read(), await gradients.chosen.read(), await gradients.rejected.read()].map((x) =>
            Array.from(x),
          ),
        );
        disposeTree([policy, rest, losses, loss, gradients]);
      }
      const [exact, single] = found as [number[][], number[][]];
      expect(exact.flat().every(Number.isFinite)).toBe(true);
      // A difference of terms of some size has rounded each of them.
      const size = name === "exo_pair" || name === "discopop" || name === "robust" ? 1e-4 : 1e-6;
      single.forEach((values, i) => expectClose(values, exact[i]!, { rtol: 1e-5, atol: size }));
    },
  );

  test.each(["js_divergence", "forward_kl", "alpha_divergence"] as const)(
    "%s cuts what no float holds",
    async (divergence) => {
      const pairs = {
        chosen: [-1e4, 0, -500, 1e4],
        rejected: [0, -1e4, -500, -1e4],
        referenceChosen: [0, 0, 0, 0],
        referenceRejected: [0, 0, 0, 0],
      };
      const values = await numbers(f32, pairs, (x) => lossOf("sigmoid")(x, { divergence }));
      expect(values.every(Number.isFinite)).toBe(true);
    },
  );

  test("the α-divergence tends to the reverse KL divergence, and is it at α = 1", async () => {
    const pairs = { chosen: [-1, -20], rejected: [-3, -5], referenceChosen: [-2, -2], referenceRejected: [-2, -9] };
    const wanted = await numbers(f32, pairs, (x) => lossOf("sigmoid")(x));
    const at = (divergenceAlpha: number): Promise<number[]> =>
      numbers(f32, pairs, (x) => lossOf("sigmoid")(x, { divergence: "alpha_divergence", divergenceAlpha }));
    expect(await at(1)).toEqual(wanted);
    for (const alpha of [1 - 1e-9, 1 + 1e-9]) expectClose(await at(alpha), wanted, { rtol: 1e-6 });
  });

  test("certain answers have finite odds, and no gradient", async () => {
    const chosen = tensor(f32, [0, 0, -2, -1e-30, -1e5]);
    const rejected = tensor(f32, [0, -2, 0, -1e-30, 0]);
    const lengths = {
      chosenLengths: tensor(f32, [1, 1, 1, 1, 1]),
      rejectedLengths: tensor(f32, [1, 1, 1, 1, 1]),
      supervisedLoss: tensor(f32, [1], []),
    };
    const [loss, gradients] = valueAndGrad((x: { chosen: Tensor; rejected: Tensor }) =>
      sum(lossOf("orpo")({ ...x, ...lengths })),
    )({ chosen, rejected });
    expect(Number.isFinite(await loss.item())).toBe(true);
    expect((await gradients.chosen.read()).every(Number.isFinite)).toBe(true);
    expect((await gradients.rejected.read()).every(Number.isFinite)).toBe(true);
    disposeTree([chosen, rejected, lengths, loss, gradients]);
  });

  test("answers without tokens count as one token, and give no NaN", async () => {
    const pairs = {
      chosen: [0],
      rejected: [-2],
      referenceChosen: [0],
      referenceRejected: [-2],
      chosenLengths: [0],
      rejectedLengths: [0],
    };
    for (const name of lossNames) expect((await numbers(f32, pairs, (x) => lossOf(name)(x)))[0]).not.toBeNaN();
  });
});

import {
  disposeTree,
  DTypeError,
  referenceDevice,
  scope,
  ShapeError,
  tensor,
  valueAndGrad,
  type Tensor,
} from "@danu/tensor";
import { afterEach, describe, expect, test } from "vitest";

import { lossNames, lossOf, uploadPairs } from "../test/pairs.ts";
import {
  klEstimate,
  ktoExampleLoss,
  perToken,
  PreferenceError,
  preferenceLosses,
  preferenceMetrics,
  preferenceObjective,
  type LossTerm,
} from "./index.ts";

const device = referenceDevice();
afterEach(() => {
  expect(device.liveBuffers).toBe(0);
});

const host = { chosen: [-1, -2], rejected: [-3, -2], referenceChosen: [-1.5, -2], referenceRejected: [-2.5, -2] };

describe("the table of losses", () => {
  test.each(lossNames)("%s says what it is, and its defaults are values that it accepts", (name) => {
    const loss = lossOf(name);
    expect(loss.name).toBe(name);
    expect(loss.summary).toMatch(/^[A-Z].*\.$/);
    expect(loss.source).toMatch(/20\d\d/);
    expect(loss.formula.length).toBeGreaterThan(5);
    for (const [key, parameter] of Object.entries(loss.parameters)) {
      expect(parameter.accepts(parameter.default), key).toBe(true);
      for (const wrong of [NaN, Infinity, "x", null, {}, []])
        expect(parameter.accepts(wrong), `${key} ${String(wrong)}`).toBe(false);
      expect(parameter.meaning).not.toBe("");
    }
  });

  test.each(lossNames)("%s asks for what it needs, and for nothing else", (name) => {
    const {
      chosen,
      rejected,
      referenceChosen,
      referenceRejected,
      chosenLengths,
      rejectedLengths,
      supervisedLoss,
      klEstimate: z,
    } = uploadPairs(device, host) as Required<ReturnType<typeof uploadPairs>>;
    const { needs } = lossOf(name);
    const full = {
      chosen,
      rejected,
      ...(needs.reference && { referenceChosen, referenceRejected }),
      ...(needs.lengths && { chosenLengths, rejectedLengths }),
      ...(needs.klEstimate && { klEstimate: z }),
    };
    const losses = scope(() => lossOf(name)(full));
    expect(losses.shape).toEqual([2]);
    for (const key of Object.keys(full).filter((each) => each !== "chosen" && each !== "rejected")) {
      const { [key as keyof typeof full]: _, ...partial } = full;
      if (name === "cpo" || name === "sft") if (key === "rejectedLengths") continue;
      expect(() => lossOf(name)(partial as typeof full)).toThrow(PreferenceError);
      expect(() => lossOf(name)(partial as typeof full)).toThrow(`${name}: needs ${key}, got none`);
    }
    disposeTree([
      chosen,
      rejected,
      referenceChosen,
      referenceRejected,
      chosenLengths,
      rejectedLengths,
      supervisedLoss,
      z,
      losses,
    ]);
  });
});

describe("wrong input", () => {
  const wrongTerms: readonly (readonly [unknown, string])[] = [
    [{ loss: "dpo" }, "expected one of sigmoid, sigmoid_norm,"],
    [{ loss: "toString" }, "expected one of sigmoid"],
    [[], "expected at least one loss, got none"],
    [
      { loss: "sigmoid", labelSmoothing: 0.1 },
      "sigmoid: has no parameter labelSmoothing; its parameters: beta, referenceFree, divergence, divergenceAlpha",
    ],
    [{ loss: "sft", beta: 0.1 }, "sft: has no parameter beta; its parameters: none"],
    [{ loss: "sigmoid", beta: 0 }, "sigmoid: expected a number above 0 for beta, got 0"],
    [{ loss: "sigmoid", beta: NaN }, "got NaN"],
    [{ loss: "sigmoid", beta: "0.1" }, "sigmoid: expected a number above 0 for beta, got 0.1"],
    [
      { loss: "sigmoid", divergence: "kl" },
      "expected one of reverse_kl, forward_kl, js_divergence, alpha_divergence for divergence, got kl",
    ],
    [{ loss: "sigmoid", referenceFree: 1 }, "expected true or false for referenceFree, got 1"],
    [{ loss: "sppo_hard", divergence: "forward_kl" }, "sppo_hard: has no parameter divergence"],
    [
      { loss: "robust", labelSmoothing: 0.5 },
      "robust: expected a number from 0 up to, but not including, 0.5 for labelSmoothing, got 0.5",
    ],
    [
      { loss: "exo_pair", labelSmoothing: 0 },
      "exo_pair: expected a number between 0 and 0.5, both excluded for labelSmoothing, got 0",
    ],
    [{ loss: "discopop", temperature: -1 }, "expected a number above 0 for temperature, got -1"],
    [{ loss: "cpo", supervisedWeight: -1 }, "expected a number of at least 0 for supervisedWeight, got -1"],
    [{ loss: "hinge", weight: Infinity }, "hinge: expected a finite weight, got Infinity"],
    [{ loss: "hinge", __proto__: null, constructor: 1 }, "hinge: has no parameter constructor"],
  ];

  test.each(wrongTerms)("%j", (terms, message) => {
    expect(() => preferenceObjective(terms as LossTerm)).toThrow(PreferenceError);
    expect(() => preferenceObjective(terms as LossTerm)).toThrow(message);
  });

  test("shapes and types", () => {
    const pairs = uploadPairs(device, host);
    const [three, half, matrix, scalar] = [
      tensor(device, [1, 2, 3]),
      tensor(device, [1, 2], [2], "bf16"),
      tensor(device, [1, 2], [1, 2]),
      tensor(device, [1], []),
    ];
    const sigmoid = lossOf("sigmoid");
    expect(() => sigmoid({ ...pairs, rejected: three })).toThrow(ShapeError);
    expect(() => sigmoid({ ...pairs, rejected: three })).toThrow(
      "sigmoid: expected rejected [2], as many numbers as pairs, got [3]",
    );
    expect(() => sigmoid({ ...pairs, chosen: matrix })).toThrow(
      "expected chosen [2], as many numbers as pairs, got [1, 2]",
    );
    expect(() => sigmoid({ ...pairs, chosen: scalar })).toThrow(ShapeError);
    expect(() => sigmoid({ ...pairs, referenceChosen: half })).toThrow(DTypeError);
    expect(() => sigmoid({ ...pairs, klEstimate: three })).toThrow("expected klEstimate [], one number, got [3]");
    expect(() => lossOf("aot")({ ...pairs, weights: pairs.chosen })).toThrow(
      "aot: sorts the batch, so that weights of pairs have no meaning",
    );
    expect(() =>
      ktoExampleLoss({
        logProbabilities: pairs.chosen,
        reference: pairs.chosen,
        desirable: pairs.chosen,
        klEstimate: scalar,
      }),
    ).toThrow(DTypeError);
    expect(() =>
      ktoExampleLoss({ logProbabilities: pairs.chosen, reference: three, desirable: pairs.chosen, klEstimate: scalar }),
    ).toThrow(ShapeError);
    const { chosenLengths: _, ...withoutLengths } = pairs;
    expect(() => perToken(withoutLengths)).toThrow("perToken: needs chosenLengths");
    disposeTree([pairs, three, half, matrix, scalar]);
  });
});

test("an objective needs what its terms need, and a reference-free one no reference", () => {
  expect(preferenceObjective({ loss: "sigmoid" }).needs).toEqual({
    reference: true,
    lengths: false,
    klEstimate: false,
  });
  expect(preferenceObjective({ loss: "sigmoid", referenceFree: true }).needs.reference).toBe(false);
  expect(preferenceObjective([{ loss: "hinge", referenceFree: true }, { loss: "sft" }]).needs).toEqual({
    reference: false,
    lengths: true,
    klEstimate: false,
  });
  expect(preferenceObjective([{ loss: "simpo" }, { loss: "kto" }]).needs).toEqual({
    reference: true,
    lengths: true,
    klEstimate: true,
  });
  expect(Object.keys(preferenceLosses).filter((name) => !lossOf(name as never).needs.reference)).toEqual([
    "sft",
    "orpo",
    "simpo",
    "cpo",
  ]);
});

test("rewards use the β of the first term that has one, its reference and its lengths", async () => {
  const pairs = uploadPairs(device, { ...host, chosenLengths: [1, 2], rejectedLengths: [3, 1] });
  const rewards = async (terms: LossTerm | readonly LossTerm[]): Promise<(number | undefined)[]> => {
    const metrics = scope(() => preferenceObjective(terms).metrics(pairs));
    const values = await Promise.all(
      [metrics.chosenReward, metrics.rejectedReward, metrics.margin, metrics.accuracy].map((x) => x.item()),
    );
    disposeTree(metrics);
    return values;
  };
  expect(await rewards([{ loss: "sft" }, { loss: "sigmoid", beta: 2 }])).toEqual([0.5, -0.5, 1, 0.5]);
  expect(await rewards({ loss: "sigmoid", beta: 2, referenceFree: true })).toEqual([-3, -5, 2, 0.5]);
  expect(await rewards({ loss: "simpo", beta: 2 })).toEqual([-2, -3, 1, 0.5]);
  expect(await rewards({ loss: "sft" })).toEqual([0.25, -0.25, 0.5, 0.5]);
  const [reward, gradient] = valueAndGrad(
    (chosen: Tensor) => preferenceMetrics({ ...pairs, chosen }, { beta: 1 }).margin,
  )(pairs.chosen);
  expect(Array.from(await gradient.read())).toEqual([0, 0]);
  disposeTree([reward, gradient]);
  const { referenceRejected: _, ...broken } = pairs;
  expect(() => preferenceMetrics(broken, { beta: 1 })).toThrow("preferenceMetrics: needs referenceRejected");
  disposeTree(pairs);
});

test("the KL estimate is a mean that is never negative", async () => {
  const [a, b] = [tensor(device, [-1, -2, -4]), tensor(device, [-2, -2.5, -4])];
  const [up, down] = scope(() => [klEstimate(a, b), klEstimate(b, a)] as const);
  expect(await up.item()).toBe(0.5);
  expect(await down.item()).toBe(0);
  disposeTree([a, b, up, down]);
});

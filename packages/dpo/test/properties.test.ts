import { referenceDevice } from "@danu/tensor";
import { expectClose, times } from "@danu/testing";
import fc from "fast-check";
import { afterEach, describe, expect, test } from "vitest";

import { preferenceObjective, type LossName, type LossTerm } from "../src/index.ts";
import { lossNames, lossOf, numbers, type HostPairs } from "./pairs.ts";

const device = referenceDevice({ precision: "f64" });
afterEach(() => {
  expect(device.liveBuffers).toBe(0);
});

const close = { rtol: 1e-9, atol: 1e-9 };
const sorting: readonly LossName[] = ["aot", "aot_unpaired"];
const number = fc.double({ min: -40, max: -0.01, noNaN: true });
const pairsOf = (B: number): fc.Arbitrary<HostPairs> => {
  const column = fc.array(number, { minLength: B, maxLength: B });
  const lengths = fc.array(fc.integer({ min: 1, max: 9 }), { minLength: B, maxLength: B });
  return fc.record({
    chosen: column,
    rejected: column,
    referenceChosen: column,
    referenceRejected: column,
    chosenLengths: lengths,
    rejectedLengths: lengths,
  });
};
const somePairs = fc.integer({ min: 1, max: 7 }).chain(pairsOf);
const lossName = fc.constantFrom(...lossNames);
const beta = fc.double({ min: 0.01, max: 2, noNaN: true });
const epsilon = fc.double({ min: 0.01, max: 0.49, noNaN: true });

function swapped(pairs: HostPairs): HostPairs {
  return {
    chosen: pairs.rejected,
    rejected: pairs.chosen,
    referenceChosen: pairs.referenceRejected,
    referenceRejected: pairs.referenceChosen,
  };
}

function reordered(pairs: HostPairs, order: readonly number[]): HostPairs {
  const take = (values: readonly number[]): number[] => order.map((i) => values[i]!);
  return {
    chosen: take(pairs.chosen),
    rejected: take(pairs.rejected),
    referenceChosen: take(pairs.referenceChosen),
    referenceRejected: take(pairs.referenceRejected),
    chosenLengths: take(pairs.chosenLengths!),
    rejectedLengths: take(pairs.rejectedLengths!),
  };
}

test("the order of the pairs does not matter; losses that sort give the same ones for any order", async () => {
  const sample = somePairs.chain((pairs) =>
    fc.tuple(
      fc.constant(pairs),
      fc.shuffledSubarray(
        pairs.chosen.map((_, i) => i),
        { minLength: pairs.chosen.length },
      ),
    ),
  );
  await fc.assert(
    fc.asyncProperty(sample, lossName, async ([pairs, order], name) => {
      const before = await numbers(device, pairs, (x) => lossOf(name)(x));
      const after = await numbers(device, reordered(pairs, order), (x) => lossOf(name)(x));
      expectClose(after, sorting.includes(name) ? before : order.map((i) => before[i]!), close);
    }),
    times(60),
  );
});

test("a batch is its pairs, one by one", async () => {
  const alone = lossNames.filter((name) => !sorting.includes(name));
  await fc.assert(
    fc.asyncProperty(somePairs, fc.constantFrom(...alone), async (pairs, name) => {
      const together = await numbers(device, pairs, (x) => lossOf(name)(x));
      for (const [i, value] of together.entries()) {
        expectClose(await numbers(device, reordered(pairs, [i]), (x) => lossOf(name)(x)), [value], close);
      }
    }),
    times(30),
  );
});

describe("the margin", () => {
  const falling: readonly LossName[] = [
    "sigmoid",
    "sigmoid_norm",
    "hinge",
    "robust",
    "bco_pair",
    "apo_zero",
    "kto",
    "orpo",
    "simpo",
    "cpo",
    "aot",
    "aot_unpaired",
  ];

  test.each(falling)(
    "%s falls as the chosen answer gets likelier, and as the rejected one gets less likely",
    async (name) => {
      const step = fc.double({ min: 0.001, max: 5, noNaN: true });
      await fc.assert(
        fc.asyncProperty(pairsOf(4), step, fc.boolean(), async (pairs, by, atChosen) => {
          const nearer = atChosen
            ? { ...pairs, chosen: pairs.chosen.map((x) => Math.min(x + by, -0.001)) }
            : { ...pairs, rejected: pairs.rejected.map((x) => x - by) };
          const before = await numbers(device, pairs, (x) => lossOf(name)(x));
          const after = await numbers(device, nearer, (x) => lossOf(name)(x));
          after.forEach((value, i) => expect(value).toBeLessThanOrEqual(before[i]! + 1e-12));
        }),
        times(20),
      );
    },
  );

  test("of both answers moved together changes nothing where only the difference counts", async () => {
    const names = fc.constantFrom<LossName>("sigmoid", "hinge", "cdpo", "robust", "exo_pair", "discopop", "aot");
    await fc.assert(
      fc.asyncProperty(somePairs, names, number, async (pairs, name, by) => {
        const shift = (values: readonly number[]): number[] => values.map((x) => x + by);
        const moved = { ...pairs, chosen: shift(pairs.chosen), rejected: shift(pairs.rejected) };
        const before = await numbers(device, pairs, (x) => lossOf(name)(x));
        expectClose(await numbers(device, moved, (x) => lossOf(name)(x)), before, { rtol: 1e-8, atol: 1e-8 });
      }),
      times(40),
    );
  });
});

describe("swapping the labels", () => {
  test("moves the sigmoid loss by βΔ", async () => {
    await fc.assert(
      fc.asyncProperty(somePairs, beta, async (pairs, b) => {
        const right = await numbers(device, pairs, (x) => lossOf("sigmoid")(x, { beta: b }));
        const wrong = await numbers(device, swapped(pairs), (x) => lossOf("sigmoid")(x, { beta: b }));
        const { chosen, rejected, referenceChosen, referenceRejected } = pairs;
        expectClose(
          wrong.map((value, i) => value - right[i]!),
          chosen.map((x, i) => b * (x - referenceChosen[i]! - (rejected[i]! - referenceRejected[i]!))),
          { rtol: 1e-9, atol: 1e-9 },
        );
      }),
      times(40),
    );
  });

  test("with probability ε: cdpo is the expected sigmoid loss, and robust undoes it in expectation", async () => {
    await fc.assert(
      fc.asyncProperty(somePairs, epsilon, beta, async (pairs, e, b) => {
        const of = (name: LossName, given: HostPairs, smooth = {}): Promise<number[]> =>
          numbers(device, given, (x) => lossOf(name)(x, { beta: b, ...smooth }));
        const mix = (right: readonly number[], wrong: readonly number[]): number[] =>
          right.map((x, i) => (1 - e) * x + e * wrong[i]!);
        const plain = await of("sigmoid", pairs);
        const smoothing = { labelSmoothing: e };
        expectClose(await of("cdpo", pairs, smoothing), mix(plain, await of("sigmoid", swapped(pairs))), close);
        const robust = mix(await of("robust", pairs, smoothing), await of("robust", swapped(pairs), smoothing));
        expectClose(robust, plain, { rtol: 1e-7, atol: 1e-7 });
      }),
      times(40),
    );
  });
});

test("without label smoothing, cdpo, robust, aot of one pair and CPO on log-ratios are the sigmoid loss", async () => {
  await fc.assert(
    fc.asyncProperty(pairsOf(1), beta, async (pairs, b) => {
      const wanted = await numbers(device, pairs, (x) => lossOf("sigmoid")(x, { beta: b }));
      for (const name of ["cdpo", "robust", "aot", "aot_unpaired"] as const) {
        expectClose(
          await numbers(device, pairs, (x) => lossOf(name)(x, { beta: b, labelSmoothing: 0 })),
          wanted,
          close,
        );
      }
      const free = await numbers(device, pairs, (x) => lossOf("sigmoid")(x, { beta: b, referenceFree: true }));
      expectClose(await numbers(device, pairs, (x) => lossOf("cpo")(x, { beta: b, supervisedWeight: 0 })), free, close);
    }),
    times(30),
  );
});

test("exo is a KL divergence: never negative, 0 where the policy has the smoothed labels' odds", async () => {
  await fc.assert(
    fc.asyncProperty(somePairs, epsilon, async (pairs, e) => {
      const values = await numbers(device, pairs, (x) => lossOf("exo_pair")(x, { labelSmoothing: e }));
      values.forEach((value) => expect(value).toBeGreaterThanOrEqual(-1e-12));
      const odds = {
        ...pairs,
        chosen: pairs.referenceChosen.map((x) => x + Math.log((1 - e) / e)),
        rejected: pairs.referenceRejected,
      };
      expectClose(
        await numbers(device, odds, (x) => lossOf("exo_pair")(x, { beta: 1, labelSmoothing: e })),
        pairs.chosen.map(() => 0),
        close,
      );
    }),
    times(40),
  );
});

test("unpaired transport does not see which answers belong together", async () => {
  await fc.assert(
    fc.asyncProperty(pairsOf(5), async (pairs) => {
      const mixed = {
        ...pairs,
        rejected: pairs.rejected.toReversed(),
        referenceRejected: pairs.referenceRejected.toReversed(),
      };
      const before = await numbers(device, pairs, (x) => lossOf("aot_unpaired")(x));
      expectClose(await numbers(device, mixed, (x) => lossOf("aot_unpaired")(x)), before, close);
    }),
    times(20),
  );
});

test("free of the reference is a reference of zeros", async () => {
  const compared = lossNames.filter((name) => lossOf(name).needs.reference);
  await fc.assert(
    fc.asyncProperty(somePairs, fc.constantFrom(...compared), async (pairs, name) => {
      const zeros = pairs.chosen.map(() => 0);
      const wanted = await numbers(device, { ...pairs, referenceChosen: zeros, referenceRejected: zeros }, (x) =>
        lossOf(name)(x),
      );
      expectClose(
        await numbers(device, pairs, ({ referenceChosen: _c, referenceRejected: _r, ...x }) =>
          lossOf(name)(x, { referenceFree: true }),
        ),
        wanted,
        close,
      );
    }),
    times(30),
  );
});

test("several losses are the sum of each by its weight, weights of pairs included", async () => {
  const term = fc.record({
    loss: fc.constantFrom(...lossNames.filter((name) => !sorting.includes(name))),
    weight: fc.double({ min: -2, max: 2, noNaN: true }),
  });
  const terms = fc.array(term, { minLength: 1, maxLength: 4 });
  await fc.assert(
    fc.asyncProperty(somePairs, terms, fc.boolean(), async (pairs, list: readonly LossTerm[], weighted) => {
      const weights = pairs.chosen.map((_, i) => 0.5 + i / 4);
      const found = await numbers(device, weighted ? { ...pairs, weights } : pairs, preferenceObjective(list).losses);
      const expected = pairs.chosen.map(() => 0);
      for (const { loss, weight } of list) {
        const values = await numbers(device, pairs, (x) => lossOf(loss)(x));
        values.forEach((value, i) => {
          expected[i]! += value * weight! * (weighted ? weights[i]! : 1);
        });
      }
      expectClose(found, expected, close);
    }),
    times(40),
  );
});

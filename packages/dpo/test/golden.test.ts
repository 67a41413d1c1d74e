import {
  disposeTree,
  mean,
  referenceDevice,
  scope,
  sum,
  tensor,
  valueAndGrad,
  type ReferenceDevice,
  type Tensor,
} from "@danu/tensor";
import { expectClose } from "@danu/testing";
import { afterEach, describe, expect, test } from "vitest";

import {
  klEstimate,
  ktoExampleLoss,
  lengthDesensitizedWeights,
  preferenceLosses,
  preferenceObjective,
  sequenceLengths,
  sequenceLogProbabilities,
  sigmoidLoss,
  splitPairs,
  type LossParameters,
  type PreferenceLoss,
  type PreferencePairs,
} from "../src/index.ts";
import {
  batchesOf,
  golden,
  goldenCases,
  goldenPairs,
  nats,
  sums,
  upload,
  type GoldenCase,
  type GoldenPair,
} from "./golden.ts";

const devices: readonly (readonly [string, ReferenceDevice])[] = [
  ["f64", referenceDevice({ precision: "f64" })],
  ["f32", referenceDevice()],
];
const within = { rtol: 1e-6, atol: 1e-6 };

afterEach(() => {
  for (const [, device] of devices) expect(device.liveBuffers).toBe(0);
});

type Losses = (pairs: PreferencePairs) => Tensor;

interface Found {
  readonly values: readonly number[];
  readonly chosen: readonly number[];
  readonly rejected: readonly number[];
}

/** The losses of one batch and the gradient of what `reduce` makes of them. */
async function evaluate(pairs: PreferencePairs, losses: Losses, reduce: (x: Tensor) => Tensor): Promise<Found> {
  const { chosen, rejected, ...rest } = pairs;
  const policy = { chosen, rejected };
  const values = scope(() => losses(pairs));
  const [value, gradients] = valueAndGrad((x: typeof policy) => reduce(losses({ ...rest, ...x })))(policy);
  const found = {
    values: Array.from(await values.read()),
    chosen: Array.from(await gradients.chosen.read()),
    rejected: Array.from(await gradients.rejected.read()),
  };
  disposeTree([values, value, gradients, pairs]);
  return found;
}

/** Losses of which a pair's depends on the others of its batch. */
const coupled: readonly string[] = ["sft", "orpo", "cpo", "aot", "aot_unpaired"];

/** Compares with TRL, which ran consecutive batches. TRL takes the supervised part of ORPO and CPO from the logits, so
 *  that their gradients are those of the rest. */
async function expectGolden(
  device: ReferenceDevice,
  each: Omit<GoldenCase, "parameters">,
  losses: Losses,
): Promise<void> {
  const batches = batchesOf(each);
  const input = (rows: readonly GoldenPair[]): PreferencePairs => {
    const { supervisedLoss, ...pairs } = upload(device, rows, { withPrompt: each.loss === "orpo" });
    if (each.loss !== "sft") return { ...pairs, supervisedLoss };
    supervisedLoss.dispose();
    return pairs;
  };
  const found: Found[] = [];
  if (each.batch === 1 && !coupled.includes(each.loss)) {
    // Batches of one pair, all at once.
    found.push(await evaluate(input(batches.flat()), losses, sum));
  } else {
    for (const rows of batches) {
      const { values, ...gradients } = await evaluate(input(rows), losses, mean);
      found.push({ values: [values.reduce((total, value) => total + value, 0) / values.length], ...gradients });
    }
  }
  expectClose(
    found.flatMap(({ values }) => values),
    each.values,
    within,
  );
  expectClose(
    found.flatMap(({ chosen }) => chosen),
    each.chosenGradients,
    within,
  );
  expectClose(
    found.flatMap(({ rejected }) => rejected),
    each.rejectedGradients,
    within,
  );
}

describe.each(devices)("on the %s reference device", (_, device) => {
  test.each(goldenCases)("%s is TRL's, and so are its gradients", async (_name, each) => {
    const loss = preferenceLosses[each.loss] as PreferenceLoss<keyof LossParameters>;
    await expectGolden(device, each, (pairs) => loss(pairs, each.parameters));
  });

  test("a weighted sum of losses is TRL's", async () => {
    const each = golden.several;
    await expectGolden(device, each, preferenceObjective(each.parameters).losses);
  });

  test("weights of pairs (WPO) are TRL's", async () => {
    const { loss, parameters, weights, values, data } = golden.pairWeighted;
    const pairs = { ...upload(device, goldenPairs(data)), weights: tensor(device, weights) };
    const losses = scope(() => (preferenceLosses[loss] as PreferenceLoss<"beta">)(pairs, parameters));
    expectClose(await losses.read(), values, within);
    disposeTree([pairs, losses]);
  });

  test("packed tokens with length desensitisation (LD-DPO) are TRL's", async () => {
    const each = golden.tokenWeighted;
    const rows = goldenPairs(each.data);
    const packed = pack(rows);
    const weights = tensor(device, lengthDesensitizedWeights(packed.segments, rows.length, 0.3), [
      packed.segments.length,
    ]);
    const segments = tensor(device, packed.segments, [packed.segments.length], "i32");
    const [policy, reference] = [tensor(device, packed.policy), tensor(device, packed.reference)];
    const losses = scope(() => {
      const under = splitPairs(sequenceLogProbabilities(policy, segments, 2 * rows.length, { weights }));
      const base = splitPairs(sequenceLogProbabilities(reference, segments, 2 * rows.length, { weights }));
      return sigmoidLoss({ ...under, referenceChosen: base.chosen, referenceRejected: base.rejected }, each.parameters);
    });
    expectClose(await losses.read(), each.values, within);
    const lengths = scope(() => sequenceLengths(segments, 2 * rows.length));
    expect(Array.from(await lengths.read())).toEqual([
      ...rows.map((row) => row.chosen.length),
      ...rows.map((row) => row.rejected.length),
    ]);
    disposeTree([weights, segments, policy, reference, losses, lengths]);
  });

  test("rewards, margins and accuracies are TRL's", async () => {
    const { batch } = golden.metrics;
    for (const [loss, wanted, beta] of [
      ["sigmoid", golden.metrics.sigmoid, 0.3],
      ["simpo", golden.metrics.simpo, 2],
    ] as const) {
      const objective = preferenceObjective({ loss, beta });
      for (const [i, row] of wanted.entries()) {
        const pairs = upload(device, goldenPairs("wide").slice(i * batch, (i + 1) * batch));
        const metrics = scope(() => objective.metrics(pairs));
        for (const [name, value] of Object.entries(row)) {
          expectClose([await metrics[name as keyof typeof metrics].item()], [value], { rtol: 1e-6, atol: 1e-5 });
        }
        disposeTree([pairs, metrics]);
      }
    }
  });

  test.each(golden.kto.map((each) => [each.batch, each] as const))(
    "KTO of %i examples is TRL's, with its KL estimate",
    async (_batch, each) => {
      const [values, estimates, gradients]: [number[], number[], number[]] = [[], [], []];
      for (const [i, rows] of batchesOf(each).entries()) {
        const labels = each.labels.slice(i * each.batch, (i + 1) * each.batch);
        const one = (chosen: readonly number[], rejected: readonly number[], flip = 0): Tensor =>
          tensor(
            device,
            labels.map((label, at) => (label !== flip ? chosen : rejected)[at]!),
          );
        const policy = [sums(rows, "chosen"), sums(rows, "rejected")] as const;
        const base = [sums(rows, "referenceChosen"), sums(rows, "referenceRejected")] as const;
        const [crossed, crossedReference] = [one(...policy, 1), one(...base, 1)];
        const estimate = scope(() => klEstimate(crossed, crossedReference));
        const [logProbabilities, reference] = [one(...policy), one(...base)];
        const desirable = tensor(device, labels, [labels.length], "u8");
        const [value, gradient] = valueAndGrad((x: Tensor) =>
          mean(ktoExampleLoss({ logProbabilities: x, reference, desirable, klEstimate: estimate }, each.parameters)),
        )(logProbabilities);
        values.push(await value.item());
        estimates.push(await estimate.item());
        gradients.push(...(await gradient.read()));
        disposeTree([crossed, crossedReference, estimate, logProbabilities, reference, desirable, value, gradient]);
      }
      expectClose(estimates, each.klEstimates, within);
      expectClose(values, each.values, within);
      expectClose(gradients, each.gradients, within);
    },
  );
});

/** All completions in one row, each after a prompt, chosen and rejected of a pair side by side. */
function pack(rows: readonly GoldenPair[]): { segments: number[]; policy: number[]; reference: number[] } {
  const packed = { segments: [] as number[], policy: [] as number[], reference: [] as number[] };
  rows.forEach((row, i) => {
    for (const [segment, policy, reference] of [
      [i, row.chosen, row.referenceChosen],
      [rows.length + i, row.rejected, row.referenceRejected],
    ] as const) {
      packed.segments.push(-1, ...policy.map(() => segment));
      packed.policy.push(-7, ...nats(policy));
      packed.reference.push(-9, ...nats(reference));
    }
  });
  return packed;
}

import { join } from "node:path";

import { cpuDevice } from "@danu/cpu";
import { disposeTree, leavesOf, referenceDevice, type Device } from "@danu/tensor";
import { relativeError } from "@danu/testing";
import { openModelFolder, readAdapter } from "@danu/model";
import { expect, test } from "vitest";

import { dpoTrainer } from "../src/run/tuning/dpo-parts.ts";
import { answerLogProbabilities, uploadPairs } from "../src/run/tuning/pair-batch.ts";
import { exampleOf, goldenBase, goldenModel, goldenTuning, readGolden } from "./tuning-golden.ts";

interface Golden {
  readonly settings: Readonly<Record<
    "beta" | "learningRate" | "beta1" | "beta2" | "eps" | "weightDecay" | "maxGradientNorm" | "pairsPerBatch", number
  >>;
  readonly pairs: readonly Readonly<Record<"prompt" | "chosen" | "rejected", readonly number[]>>[];
  readonly steps: readonly Readonly<Record<string, number>>[];
}

const golden = await readGolden<Golden>("dpo.json");
const examples = golden.pairs.map(({ prompt, chosen, rejected }) => (
  { chosen: exampleOf(prompt, chosen), rejected: exampleOf(prompt, rejected) }
));
const devices: Record<string, () => Device> = { reference: () => referenceDevice(), cpu: () => cpuDevice() };

test.each([
  ["reference", 2, 2], ["cpu", 1, 5], ["cpu", 4, 5],
])("steps of an adapter follow TRL and peft: on %s, in %i micro-batches, %i steps", async (name, microBatches, steps) => {
  using device = devices[name]!();
  const { beta, learningRate, pairsPerBatch, maxGradientNorm, ...optimizer } = golden.settings;
  const model = await goldenModel(device, join(goldenTuning, "dpo/initial"));
  const recipe = { dtype: "f32" as const, losses: [{ loss: "sigmoid" as const, beta }], optimizer, maxGradientNorm };
  const trainer = dpoTrainer(recipe, model, (batch) => answerLogProbabilities(model.decoder, model.frozen!, batch));
  for (const [step, expected] of golden.steps.slice(0, steps).entries()) {
    const each = pairsPerBatch / microBatches;
    const batches = Array.from({ length: microBatches }, (_, i) => uploadPairs(
      device, { examples, mismatched: false, maxLength: 64 },
      Array.from({ length: each }, (__, j) => step * pairsPerBatch + i * each + j),
    ));
    const { loss, gradientNorm, metrics } = await trainer.step(batches, learningRate);
    if (step === 0) expect(loss).toBe(Math.fround(Math.LN2));
    expect(Math.abs(loss - expected["loss"]!), `loss of step ${step + 1}`).toBeLessThan(1e-4);
    expect(Math.abs(gradientNorm / expected["gradientNorm"]! - 1), `norm of step ${step + 1}`).toBeLessThan(1e-4);
    const names = ["chosenReward", "rejectedReward", "margin", "accuracy", "chosenLogProbability", "rejectedLogProbability"];
    for (const metric of names) {
      const tolerance = 1e-4 * Math.max(1, Math.abs(expected[metric]!) / 10);
      expect(Math.abs(metrics[metric]! - expected[metric]!), `${metric} of step ${step + 1}`).toBeLessThan(tolerance);
    }
    disposeTree(batches);
  }
  if (steps === golden.steps.length) await expectFinal(device, trainer.params);
  trainer[Symbol.dispose]();
  model[Symbol.dispose]();
  expect(device.liveBuffers).toBe(0);
});

/** Compares an adapter with the one that TRL ended with. */
async function expectFinal(device: Device, params: unknown): Promise<void> {
  await using folder = await openModelFolder(goldenBase);
  const { adapter: final } = await readAdapter(device, join(goldenTuning, "dpo/final"), folder.config);
  const found = leavesOf(params);
  for (const [i, { path, tensor }] of leavesOf(final).entries()) {
    expect(relativeError(await found[i]!.tensor.read(), await tensor.read()), path).toBeLessThan(1e-4);
  }
  disposeTree(final);
}

import { inProcess, runRanks, type Collective } from "@danu/ddp";
import { Decoder, Fp8Weights, inFp8, initialize, type DecoderConfig, type DecoderParameters } from "@danu/model";
import { disposeTree, leavesOf, referenceDevice, tensor, type Device, type Tensor } from "@danu/tensor";
import { hostIntegers, upload } from "@danu/testing";
import { expect, test } from "vitest";

import { Trainer } from "../src/index.ts";

const config: DecoderConfig = {
  hiddenSize: 16, intermediateSize: 24, layers: 2, heads: 2, keyValueHeads: 1, headDim: 8, vocabularySize: 29, maxPositions: 12,
  slidingWindow: null, ropeTheta: 10_000, rmsNormEps: 1e-5, tieEmbeddings: false, initializerRange: 0.3, bosId: null, eosId: null, padId: null,
  dtype: "f32",
};
const [T, steps] = [12, 4];

interface Batch {
  readonly ids: Tensor;
  readonly targets: Tensor;
}

/** Losses of some steps on micro-batches made from seeds, and what they leave: weights, moments and scalings. */
async function run(device: Device, seeds: readonly number[], collective?: Collective): Promise<{ losses: number[]; state: number[] }> {
  const decoder = new Decoder(device, config, T);
  const fp8 = new Fp8Weights(device, config, ["1.down"]);
  const positions = tensor(device, Array.from({ length: T }, (_, i) => i), [1, T], "i32");
  const trainer: Trainer<DecoderParameters, Batch> = new Trainer<DecoderParameters, Batch>({
    params: initialize(device, config, 3 + (collective?.rank ?? 0)), computeDtype: "bf16", extra: fp8, tokens: () => T,
    ...(collective === undefined ? {} : { collective }),
    loss: (params, { ids, targets }, scale) => (
      decoder.loss(inFp8(params, fp8, trainer.optimizer.steps === 0), { ids, positions, documentStart: null }, targets, scale)
    ),
  });
  const integers = (seed: number): Tensor => upload(device, hostIntegers("i32", [1, T], seed, config.vocabularySize));
  const batches = seeds.map((seed): Batch => ({ ids: integers(seed), targets: integers(seed + 50) }));
  const losses: number[] = [];
  for (let step = 0; step < steps; step++) losses.push((await trainer.step(batches, 1e-2)).loss);
  const state: number[] = [];
  for (const { tensor: leaf } of leavesOf([trainer.params, trainer.optimizer.mean, trainer.optimizer.variance, trainer.extra])) state.push(...await leaf.read());
  disposeTree([batches, positions]);
  trainer[Symbol.dispose]();
  decoder[Symbol.dispose]();
  expect(device.liveBuffers).toBe(0);
  return { losses, state };
}

test("two ranks in fp8 leave the bits that one leaves with both micro-batches, scalings included", async () => {
  const whole = await run(referenceDevice(), [1, 2]);
  const ranks = await runRanks(inProcess(2), (collective) => run(referenceDevice(), [1 + collective.rank], collective));
  expect(ranks[1]).toEqual(ranks[0]);
  expect(ranks[0]!.state).toEqual(whole.state);
  ranks[0]!.losses.forEach((loss, i) => expect(loss).toBeCloseTo(whole.losses[i]!, 5));
  expect(whole.losses.at(-1)!).toBeLessThan(whole.losses[0]!);
});

import { cpuDevice } from "@danu/cpu";
import { packRows, type TrainingExample } from "@danu/data";
import { inProcess, runRanks, type Collective } from "@danu/ddp";
import { Decoder, initialize, type DecoderConfig, type DecoderInput, type DecoderParameters } from "@danu/model";
import { disposeTree, leavesOf, referenceDevice, tensor, type Device, type Tensor } from "@danu/tensor";
import { relativeError } from "@danu/testing";
import fc from "fast-check";
import { expect, test } from "vitest";

import { Trainer, type StepResult } from "../src/index.ts";

// Danube in small: grouped queries, a sliding window, conversations side by side.
const config: DecoderConfig = {
  hiddenSize: 8, intermediateSize: 12, layers: 1, heads: 2, keyValueHeads: 1, headDim: 4, vocabularySize: 29, maxPositions: 16,
  slidingWindow: 5, ropeTheta: 10_000, rmsNormEps: 1e-5, tieEmbeddings: false, initializerRange: 0.5, bosId: null, eosId: null, padId: null,
  dtype: "f32",
};
const [T, steps] = [16, 3];

interface ChatBatch {
  readonly input: DecoderInput;
  readonly targets: Tensor;
  readonly trained: number;
}

/** A conversation that trains its answer alone. */
function chat([prompt, answer]: readonly [prompt: readonly number[], answer: readonly number[]]): TrainingExample {
  return { ids: Int32Array.from([...prompt, ...answer]), trained: Uint8Array.from([...prompt.map(() => 0), ...answer.map(() => 1)]) };
}

/** One packed row a micro-batch. */
function upload(device: Device, row: readonly TrainingExample[]): ChatBatch {
  const { ids, positions, documentStart, targets, tokens } = packRows([row], T, 0);
  const integers = (values: Int32Array): Tensor => tensor(device, values, [1, T], "i32");
  return {
    input: { ids: integers(ids), positions: integers(positions), documentStart: integers(documentStart) },
    targets: integers(targets), trained: tokens,
  };
}

interface Outcome {
  readonly steps: readonly StepResult[];
  readonly params: readonly number[];
}

/** Three steps on the same rows. */
async function fineTune(device: Device, rows: readonly (readonly TrainingExample[])[], collective?: Collective): Promise<Outcome> {
  const decoder = new Decoder(device, config, T);
  const trainer = new Trainer<DecoderParameters, ChatBatch>({
    // Other weights on every rank, to be overwritten by those of rank 0.
    params: initialize(device, config, 3 + (collective?.rank ?? 0)), computeDtype: "f32", maxGradientNorm: 0.5,
    tokens: ({ trained }) => trained, ...(collective === undefined ? {} : { collective }),
    loss: (params, { input, targets }, scale) => decoder.loss(params, input, targets, scale),
  });
  const batches = rows.map((row) => upload(device, row));
  const results: StepResult[] = [];
  for (let step = 0; step < steps; step++) results.push(await trainer.step(batches, 2e-3));
  const params: number[] = [];
  for (const { tensor: leaf } of leavesOf(trainer.params)) params.push(...await leaf.read());
  disposeTree(batches);
  trainer[Symbol.dispose]();
  decoder[Symbol.dispose]();
  expect(device.liveBuffers).toBe(0);
  return { steps: results, params };
}

/** Runs ranks that each have their rows, and one that has all of them. */
async function compare(open: () => Device, ranks: readonly (readonly (readonly TrainingExample[])[])[], within: number): Promise<Outcome> {
  const alone = await on(open, (device) => fineTune(device, ranks.flat()));
  const outcomes = await runRanks(inProcess(ranks.length, { bucketBytes: 1000 }), (collective) => (
    on(open, (device) => fineTune(device, ranks[collective.rank]!, collective))
  ));
  for (const outcome of outcomes) {
    expect(outcome).toEqual(outcomes[0]);
    outcome.steps.forEach(({ loss, gradientNorm, tokens }, step) => {
      const expected = alone.steps[step]!;
      expect(tokens).toBe(expected.tokens);
      expect(Math.abs(loss - expected.loss)).toBeLessThanOrEqual(within * Math.max(1, expected.loss));
      expect(Math.abs(gradientNorm - expected.gradientNorm)).toBeLessThanOrEqual(within * Math.max(1, expected.gradientNorm));
    });
    expect(relativeError(outcome.params, alone.params)).toBeLessThanOrEqual(within);
  }
  return alone;
}

async function on<R>(open: () => Device, work: (device: Device) => Promise<R>): Promise<R> {
  using device = open();
  return await work(device);
}

const ids = (minLength: number, maxLength: number): fc.Arbitrary<number[]> => fc.array(fc.nat(28), { minLength, maxLength });
/** A rank's rows; answers may be empty, so that a rank may have nothing to train on. */
const rowsOfRank = fc.array(fc.array(fc.tuple(ids(1, 8), ids(0, 4)).map(chat), { minLength: 1, maxLength: 2 }), { minLength: 1, maxLength: 2 });

test("conversations fine-tune the same model on however many ranks, though ranks differ in trained tokens", async () => {
  await fc.assert(fc.asyncProperty(fc.array(rowsOfRank, { minLength: 2, maxLength: 4 }), async (ranks) => {
    await compare(() => referenceDevice({ precision: "f64" }), ranks, 1e-9);
  }), { numRuns: 8 });
});

test("the loss is the mean over the tokens of all ranks, not the mean of the ranks' means", async () => {
  const long = chat([[1, 2], Array.from({ length: 12 }, () => 7)]);
  const short = chat([Array.from({ length: 9 }, (_, i) => i), [11]]);
  const silent = chat([[4, 5, 6], []]);
  for (const open of [() => cpuDevice({ threads: 1 }), () => referenceDevice()]) {
    const { steps: [all] } = await compare(open, [[[long], [long]], [[short]], [[silent]]], 1e-6);
    expect(all!.tokens).toBe(25);
    const [many, one] = [
      await on(open, (device) => fineTune(device, [[long], [long]])), await on(open, (device) => fineTune(device, [[short]])),
    ];
    const [first, second] = [many.steps[0]!.loss, one.steps[0]!.loss];
    expect(Math.abs(first - second)).toBeGreaterThan(0.1);
    expect(all!.loss).toBeCloseTo((24 * first + second) / 25, 5);
  }
});

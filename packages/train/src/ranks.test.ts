import { CollectiveError, inProcess, runRanks, type Collective } from "@danu/ddp";
import { leavesOf, referenceDevice, tensor, type Device, type DType } from "@danu/tensor";
import fc from "fast-check";
import { expect, test } from "vitest";

import { fingerprint, release, toyBatch, toyTrainer, type ToyBatch, type ToyParams } from "../test/toy.ts";
import { NonFiniteError, type Evaluation, type StepResult, type Trainer } from "./index.ts";

/** Rows of a micro-batch, and whether the loss passes over them. */
interface Part {
  readonly rows: number;
  readonly masked: boolean;
}

/** What a run of three steps came to. */
interface Outcome {
  readonly steps: readonly StepResult[];
  readonly evaluation: Evaluation;
  readonly params: readonly number[];
  readonly state: string;
}

const steps = 3;
const part = fc.record({ rows: fc.integer({ min: 1, max: 4 }), masked: fc.boolean() });
/** Micro-batches of every rank. */
const splits = fc.array(fc.array(part, { minLength: 1, maxLength: 3 }), { minLength: 1, maxLength: 4 });

/** The micro-batches of some ranks, which share the rows of a step out among them. */
function batchesOf(device: Device, step: number, split: readonly (readonly Part[])[], isMine: (rank: number) => boolean): ToyBatch[] {
  const batches: ToyBatch[] = [];
  let first = 0;
  split.forEach((parts, rank) => parts.forEach(({ rows, masked }) => {
    if (isMine(rank)) batches.push(toyBatch(device, step, first, first + rows, masked));
    first += rows;
  }));
  return batches;
}

async function outcome(
  device: Device, dtype: DType, split: readonly (readonly Part[])[], isMine: (rank: number) => boolean, collective?: Collective,
): Promise<Outcome> {
  const trainer = toyTrainer(device, dtype, 2, true, collective === undefined ? {} : { collective });
  const results: StepResult[] = [];
  for (let step = 0; step < steps; step++) {
    const batches = batchesOf(device, step, split, isMine);
    results.push(await trainer.step(batches, 0.01));
    release(batches);
  }
  const held = batchesOf(device, 7, split, isMine);
  const evaluation = await trainer.evaluate(held);
  release(held);
  const params: number[] = [];
  for (const { tensor: leaf } of leavesOf(trainer.params)) params.push(...await leaf.read());
  const state = await fingerprint(trainer);
  trainer[Symbol.dispose]();
  expect(device.liveBuffers).toBe(0);
  return { steps: results, evaluation, params, state };
}

/** All numbers of an outcome but the tokens, which are compared on their own. */
function numbersOf({ steps: results, evaluation, params }: Outcome): number[] {
  const means = ({ loss, metrics }: Evaluation): number[] => [loss, ...Object.values(metrics)];
  return [...results.flatMap((result) => [...means(result), result.gradientNorm]), ...means(evaluation), ...params];
}

test.each([
  { name: "f64", precision: "f64", dtype: "f32", within: 1e-11 }, { name: "f32", precision: "f32", dtype: "f32", within: 1e-6 },
  { name: "bf16", precision: "f32", dtype: "bf16", within: 0.02 },
] as const)("whatever ranks share the micro-batches, a run is that of one rank with all of them, in $name", async ({ precision, dtype, within }) => {
  await fc.assert(fc.asyncProperty(splits, async (split) => {
    const whole = await outcome(referenceDevice({ precision }), dtype, split, () => true);
    const ranks = await runRanks(inProcess(split.length, { bucketBytes: 16 }), (collective) => (
      outcome(referenceDevice({ precision }), dtype, split, (rank) => rank === collective.rank, collective)
    ));
    const expected = numbersOf(whole);
    for (const rank of ranks) {
      expect(rank).toEqual(ranks[0]);
      expect(rank.steps.map(({ tokens }) => tokens)).toEqual(whole.steps.map(({ tokens }) => tokens));
      numbersOf(rank).forEach((value, i) => expect(Math.abs(value - expected[i]!)).toBeLessThanOrEqual(within * Math.max(1, Math.abs(expected[i]!))));
    }
  }), { numRuns: 40 });
});

test("ranks without a trained token add nothing; where no rank has one, loss and gradient are 0", async () => {
  const trained = { rows: 5, masked: false };
  const masked = { rows: 3, masked: true };
  const alone = await outcome(referenceDevice(), "f32", [[trained]], () => true);
  for (const [split, expected] of [[[[trained], [masked], [masked, masked]], alone.steps[0]!.tokens], [[[masked], [masked]], 0]] as const) {
    const ranks = await runRanks(inProcess(split.length), (collective) => (
      outcome(referenceDevice(), "f32", split, (rank) => rank === collective.rank, collective)
    ));
    for (const { steps: [first], evaluation } of ranks) {
      expect(first!.tokens).toBe(expected);
      if (expected === 0) {
        expect(first).toMatchObject({ loss: 0, gradientNorm: 0 });
        expect(evaluation).toEqual({ loss: 0, metrics: {} });
      } else expect(first!.loss).toBeCloseTo(alone.steps[0]!.loss, 5);
    }
  }
});

/** Runs three ranks. @returns what each returned or threw */
async function endings(
  work: (collective: Collective, trainer: Trainer<ToyParams, ToyBatch>, device: Device) => Promise<unknown>,
  outputs: (rank: number) => number = () => 2,
): Promise<unknown[]> {
  const ended: unknown[] = [];
  const devices = Array.from({ length: 3 }, () => referenceDevice());
  await runRanks(inProcess(3), async (collective) => {
    const device = devices[collective.rank]!;
    using trainer = toyTrainer(device, "bf16", outputs(collective.rank), true, { collective });
    try {
      ended[collective.rank] = await work(collective, trainer, device);
    } catch (error) {
      ended[collective.rank] = error;
      throw error;
    }
  }).catch(() => undefined);
  for (const device of devices) expect(device.liveBuffers).toBe(0);
  return ended;
}

async function evaluate(trainer: Trainer<ToyParams, ToyBatch>, batches: readonly ToyBatch[]): Promise<Evaluation> {
  return trainer.evaluate(batches).finally(() => release(batches));
}

async function takeStep(trainer: Trainer<ToyParams, ToyBatch>, batches: readonly ToyBatch[]): Promise<StepResult> {
  return trainer.step(batches, 0.01).finally(() => release(batches));
}

test.each([NaN, Infinity])("%d on one rank is a NonFiniteError on every rank, and the weights stay as they are", async (poison) => {
  const ended = await endings(async (collective, trainer, device) => {
    await takeStep(trainer, [toyBatch(device, collective.rank)]);
    const before = await fingerprint(trainer);
    const batch = toyBatch(device, 3 + collective.rank);
    if (collective.rank === 1) device.write(batch.y.handle, device.encode("f32", Array.from({ length: 16 }, () => poison)));
    await expect(takeStep(trainer, [batch])).rejects.toThrow(NonFiniteError);
    expect(await fingerprint(trainer)).toBe(before);
    await takeStep(trainer, [toyBatch(device, 6 + collective.rank)]);
    return fingerprint(trainer);
  });
  expect(ended).toEqual([ended[0], ended[0], ended[0]]);
  expect(ended[0]).toMatch(/ 2$/);
});

test("ranks start from rank 0, and go on from the checkpoint that it alone has read", async () => {
  const ended = await endings(async ({ rank }, trainer, device) => {
    device.write(trainer.params.bias.handle, device.encode("f32", [rank, -rank]));
    await takeStep(trainer, [toyBatch(device, rank)]);
    const first = await fingerprint(trainer);
    if (rank === 0) {
      device.write(trainer.optimizer.mean.bias.handle, device.encode("f32", [5, 6]));
      device.write(trainer.params.bias.handle, device.encode("f32", [7, 8]));
      trainer.optimizer.steps = 30;
    }
    trainer.refresh();
    await evaluate(trainer, [toyBatch(device, 4 + rank)]);
    return [first, await fingerprint(trainer), [...await trainer.params.bias.read()], trainer.optimizer.steps];
  });
  expect(ended).toEqual([ended[0], ended[0], ended[0]]);
});

type Odd = (trainer: Trainer<ToyParams, ToyBatch>, device: Device) => Promise<unknown>;

/** A batch whose rows do not fit the weights. */
function unfit(device: Device): ToyBatch {
  const { x, ...rest } = toyBatch(device, 0, 0, 3);
  x.dispose();
  return { ...rest, x: tensor(device, Array.from({ length: 12 }, () => 1), [3, 4]) };
}

test.each<readonly [what: string, odd: Odd, own: RegExp | null, others: RegExp]>([
  [
    "fails within its second micro-batch", (trainer, device) => takeStep(trainer, [toyBatch(device, 0), unfit(device)]),
    /^matmul/, /^rank 1 failed while rank \d waits in allReduce \(sum\): matmul/,
  ],
  ["has no micro-batch", (trainer) => takeStep(trainer, []), /at least one micro-batch/, /^rank 1 failed while .* at least one micro-batch, got none$/],
  ["has nothing to evaluate", (trainer) => evaluate(trainer, []), /at least one batch to evaluate/, /^rank 1 failed while .*at least one batch to evaluate/],
  ["evaluates", (trainer, device) => evaluate(trainer, [toyBatch(device, 1)]), /value 1 is f64 \[\d\]/, /value 1 is f64 \[\d\]/],
  ["stops early", async () => "stopped", null, /^rank 1 left while rank \d waits in allReduce/],
])("one rank %s: all end, the others with one error, and nothing is left", async (_, odd, own, others) => {
  const [first, second, third] = await endings(async ({ rank }, trainer, device) => {
    await takeStep(trainer, [toyBatch(device, rank)]);
    return rank === 1 ? odd(trainer, device) : takeStep(trainer, [toyBatch(device, rank)]);
  });
  expect(first).toBeInstanceOf(CollectiveError);
  expect((first as Error).message).toMatch(others);
  expect(third).toBe(first);
  if (own === null) expect(second).toBe("stopped");
  else expect((second as Error).message).toMatch(own);
});

test("a model of other shapes on one rank is named before the first step", async () => {
  const ended = await endings(async ({ rank }, trainer, device) => takeStep(trainer, [toyBatch(device, rank)]), (rank) => (rank === 2 ? 1 : 2));
  for (const error of ended) expect(error).toBe(ended[0]);
  expect((ended[0] as Error).message).toMatch(/^broadcast from rank 0: value 1 is f32 \[3, 2\] on rank 0, f32 \[3, 1\] on rank 2; all ranks/);
});

import { readFile } from "node:fs/promises";
import { join } from "node:path";

import { referenceDevice, type Device, type DType } from "@danu/tensor";
import { expect, test } from "vitest";

import {
  fingerprint, inFolder, release, toyBatch, toyTensorFiles, toyTrainer, type ToyBatch, type ToyParams,
} from "../test/toy.ts";
import {
  CheckpointStore, interruptOnSignals, MetricsWriter, NonFiniteError, readMetrics, train,
  type RunPosition, type RunProgress, type RunSummary, type Trainer, type TrainOptions,
} from "./index.ts";

const steps = 6;
const base = { seed: 7, schedule: { kind: "constant" }, dataPosition: { row: 3 }, versions: { danu: "0.1.0" } };

function options(trainer: Trainer<ToyParams, ToyBatch>, device: Device): TrainOptions<ToyBatch> {
  return {
    trainer, steps, learningRate: (step) => 0.05 / (step + 1), releaseBatches: release,
    batchesAt: (step) => [toyBatch(device, step, 0, 3), toyBatch(device, step, 3, 8)],
  };
}

/** Runs with checkpoints in a folder, from the newest one there. */
async function run(
  folder: string, more: Partial<TrainOptions<ToyBatch>>, computeDtype: DType = "f32",
): Promise<{ summary: RunSummary; state: string }> {
  const device = referenceDevice();
  const trainer = toyTrainer(device, computeDtype);
  const store = new CheckpointStore({ folder: join(folder, "checkpoints"), tensorFiles: toyTensorFiles() });
  const start: RunPosition | undefined = (await store.restoreNewest(trainer))?.state;
  const metrics = await MetricsWriter.open(join(folder, "metrics.jsonl"), start?.step);
  const save = (position: RunPosition): Promise<unknown> => (
    store.save(trainer, { ...base, ...position }, async () => undefined)
  );
  const summary = await train({
    ...options(trainer, device), ...(start === undefined ? {} : { start }), metrics,
    checkpoint: { every: Infinity, run: save }, ...more,
  }).finally(() => metrics[Symbol.asyncDispose]());
  const state = await fingerprint(trainer);
  trainer[Symbol.dispose]();
  expect(device.liveBuffers).toBe(0);
  return { summary, state };
}

const logged = (text: string): unknown[] => text.trim().split("\n").map((line) => {
  const { step, tokens, loss, gradientNorm, learningRate } = JSON.parse(line) as Record<string, unknown>;
  return { step, tokens, loss, gradientNorm, learningRate };
});

test.each(["f32", "bf16"] as const)("a %s run stopped and resumed equals the straight run bit for bit", async (dtype) => {
  let straight = { state: "", log: [] as unknown[] };
  await inFolder(async (folder) => {
    const { state, summary } = await run(folder, {}, dtype);
    expect(summary).toMatchObject({ stopped: "complete", step: steps, tokens: steps * 8 });
    straight = { state, log: logged(await readFile(join(folder, "metrics.jsonl"), "utf8")) };
  });
  expect(straight.log).toHaveLength(steps);
  for (let k = 1; k < steps; k++) {
    await inFolder(async (folder) => {
      const stop = new AbortController();
      const first = await run(folder, {
        signal: stop.signal, onProgress: ({ step }) => { if (step === k) stop.abort("SIGTERM"); },
      }, dtype);
      expect(first.summary).toMatchObject({ stopped: "signal", step: k });
      const second = await run(folder, {}, dtype);
      expect(second.summary).toMatchObject({ stopped: "complete", step: steps, tokens: steps * 8 });
      expect(second.summary.seconds).toBeGreaterThan(first.summary.seconds);
      expect(second.state).toBe(straight.state);
      expect(logged(await readFile(join(folder, "metrics.jsonl"), "utf8"))).toEqual(straight.log);
    });
  }
});

test("after a kill the log beyond the checkpoint is dropped and written again", async () => {
  await inFolder(async (folder) => {
    const killed = run(folder, {
      checkpoint: { every: 2, run: async () => undefined },
      onProgress: ({ step }) => { if (step === 3) throw new Error("killed"); },
    });
    await expect(killed).rejects.toThrow("killed");
    await run(folder, {});
    expect((await readMetrics(join(folder, "metrics.jsonl"))).map(({ step }) => step)).toEqual([1, 2, 3, 4, 5, 6]);
  });
});

test("a finished run takes no step and writes nothing", async () => {
  await inFolder(async (folder) => {
    await run(folder, {});
    const { summary } = await run(folder, { checkpoint: { every: 1, run: () => { throw new Error("saved"); } } });
    expect(summary).toMatchObject({ stopped: "complete", step: steps, last: null });
  });
});

test("a real signal is heard though the device never waits, the second would not be", async () => {
  const interrupt = interruptOnSignals(["SIGUSR2"]);
  await inFolder(async (folder) => {
    const { summary } = await run(folder, {
      steps: 10_000, signal: interrupt.signal,
      onProgress: ({ step }) => { if (step === 2) process.kill(process.pid, "SIGUSR2"); },
    });
    expect(summary.stopped).toBe("signal");
    expect(summary.step).toBeLessThan(1000);
  });
  expect(interrupt.signal.reason).toBe("SIGUSR2");
  expect(process.listenerCount("SIGUSR2")).toBe(0);
});

test("a step that is not finite is logged as it came, changes no weights and writes no checkpoint", async () => {
  for (const poison of [NaN, Infinity]) {
    await inFolder(async (folder) => {
      const device = referenceDevice();
      const trainer = toyTrainer(device);
      const metrics = await MetricsWriter.open(join(folder, "metrics.jsonl"));
      const saves: number[] = [];
      const states: string[] = [];
      const poisoned = train({
        ...options(trainer, device), metrics,
        batchesAt: async (step) => {
          states.push(await fingerprint(trainer));
          const batch = toyBatch(device, step);
          if (step === 3) device.write(batch.y.handle, device.encode("f32", Array.from({ length: 16 }, () => poison)));
          return [batch];
        },
        checkpoint: { every: 2, run: async ({ step }) => { saves.push(step); } },
      });
      await expect(poisoned).rejects.toThrow(NonFiniteError);
      await expect(poisoned).rejects.toThrow(/training step 4: expected a finite loss.*the weights are unchanged/);
      expect(await fingerprint(trainer)).toBe(states[3]);
      expect(saves).toEqual([2]);
      const text = await readFile(metrics.path, "utf8");
      expect(text.trim().split("\n")).toHaveLength(4);
      expect(text).toContain(`"step":4,"tokens":24,"loss":"${poison}"`);
      expect((await readMetrics(metrics.path)).at(-1)!.loss).toBe(poison);
      await metrics[Symbol.asyncDispose]();
      trainer[Symbol.dispose]();
      expect(device.liveBuffers).toBe(0);
    });
  }
});

test("a split batch takes the step of the whole, a masked part adds nothing, an all-masked batch has loss 0", async () => {
  const device = referenceDevice();
  const [whole, split, masked] = [toyTrainer(device), toyTrainer(device), toyTrainer(device)];
  const one = await whole.step([toyBatch(device, 0)], 0.01);
  const parts = [toyBatch(device, 0, 0, 3), toyBatch(device, 0, 3, 8), toyBatch(device, 1, 0, 4, true)];
  const two = await split.step(parts, 0.01);
  expect(two.tokens).toBe(one.tokens);
  expect(two.loss).toBeCloseTo(one.loss, 5);
  expect(two.gradientNorm).toBeCloseTo(one.gradientNorm, 5);
  const [a, b] = [await whole.params.weight.read(), await split.params.weight.read()];
  a.forEach((value, i) => expect(b[i]).toBeCloseTo(value, 6));
  expect(await masked.step([toyBatch(device, 0, 0, 8, true)], 0.01)).toEqual({ loss: 0, metrics: {}, gradientNorm: 0, tokens: 0 });
});

test("metrics of the loss are means over the whole step and over held-out data, whatever the micro-batches", async () => {
  const device = referenceDevice();
  const measuring = toyTrainer(device, "f32", 2, true);
  const whole = await measuring.evaluate([toyBatch(device, 0, 0, 8)]);
  const parts = await measuring.evaluate([toyBatch(device, 0, 0, 3), toyBatch(device, 0, 3, 8)]);
  const step = await measuring.step([toyBatch(device, 0, 0, 3), toyBatch(device, 0, 3, 8)], 0);
  expect(whole.metrics["firstOutput"]).not.toBe(0);
  for (const { loss, metrics } of [parts, step]) {
    expect(loss).toBeCloseTo(whole.loss, 5);
    expect(metrics["firstOutput"]).toBeCloseTo(whole.metrics["firstOutput"]!, 5);
  }
  expect(await measuring.evaluate([])).toEqual({ loss: 0, metrics: {} });
});

test("held-out data is measured before the first step where that is asked for, once", async () => {
  await inFolder(async (folder) => {
    let measured = 0;
    const validation = { every: 2, initial: true, run: async () => ({ loss: 10 - measured++, metrics: { right: measured } }) };
    const controller = new AbortController();
    const stop = ({ step }: RunProgress): void => { if (step === 3) controller.abort("SIGTERM"); };
    await run(folder, { validation, signal: controller.signal, onProgress: stop });
    const { summary } = await run(folder, { validation });
    expect(summary.validation).toEqual({ loss: 7, metrics: { right: 4 } });
    const records = await readMetrics(join(folder, "metrics.jsonl"));
    expect(records.map(({ initialValidation }) => initialValidation?.loss)).toEqual([10, ...Array(5).fill(undefined)]);
    expect(records.map(({ validationMetrics }) => validationMetrics?.["right"])).toEqual([undefined, 2, undefined, 3, undefined, 4]);
  });
});

test("progress tells rate, time left, share of peak, stage, memory, and validation when it is due", async () => {
  const device = referenceDevice();
  const seen: RunProgress[] = [];
  const summary = await train({
    ...options(toyTrainer(device), device), onProgress: (progress) => seen.push(progress),
    validation: { every: 4, run: async () => ({ loss: 1.5, metrics: { right: 0.5 } }) },
    stageAt: (step) => ({ sequenceLength: step < 3 ? 8 : 16, microBatches: 2 }),
    flopsPerToken: () => 100, peakFlops: 1e9, peakBytes: () => 123, tokensIn: (batch) => batch.rows * 2,
  });
  expect(seen.map(({ validationLoss }) => validationLoss ?? 0)).toEqual([0, 0, 0, 1.5, 0, 1.5]);
  expect(seen.map(({ stage }) => stage!.sequenceLength)).toEqual([8, 8, 8, 16, 16, 16]);
  expect(seen.at(-1)).toMatchObject({ steps, tokens: steps * 16, secondsLeft: 0, peakBytes: 123 });
  for (const { tokensPerSecond, shareOfPeak, secondsLeft, step } of seen) {
    expect(shareOfPeak).toBeCloseTo((tokensPerSecond * 100) / 1e9, 12);
    expect(secondsLeft > 0).toBe(step < steps);
  }
  expect(summary).toMatchObject({ stopped: "complete", validationLoss: 1.5, last: { step: steps } });
});

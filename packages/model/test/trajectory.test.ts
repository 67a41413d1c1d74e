import { createHash } from "node:crypto";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

import { cpuDevice } from "@danu/cpu";
import { schedule } from "@danu/optim";
import {
  broadcastTo, decode, disposeTree, iota, keep, leavesOf, referenceDevice, tensor, type Device, type Tensor,
} from "@danu/tensor";
import { relativeError } from "@danu/testing";
import { CheckpointStore, train, Trainer, type RunPosition, type TensorFiles } from "@danu/train";
import { afterAll, beforeAll, describe, expect, test } from "vitest";

import {
  Decoder, loadParameters, openModelFolder, openSafetensors, parameterSources, writeModelFolder, writeSafetensors,
  type DecoderConfig, type DecoderParameters,
} from "../src/index.ts";

interface Batch {
  readonly ids: Tensor;
  readonly targets: Tensor;
  readonly trained: number;
}

interface Run {
  readonly losses: readonly number[];
  readonly gradientNorms: readonly number[];
}

interface Golden {
  readonly learningRates: readonly number[];
  readonly plain: { readonly float64: Run };
  readonly accumulated: { readonly float64: Run };
}

const folder = fileURLToPath(new URL("../../testing/golden/trajectory/", import.meta.url));
const [steps, rows, T] = [30, 8, 16];
const learningRate = schedule({ kind: "cosine", peak: 0.01, floor: 0.001, warmup: 5, steps });
const tensorFiles: TensorFiles = { write: writeSafetensors, open: openSafetensors };
const golden = JSON.parse(await readFile(join(folder, "trajectory.json"), "utf8")) as Golden;

test("the schedule is the one PyTorch trained with", () => {
  golden.learningRates.forEach((expected, step) => expect(learningRate(step)).toBeCloseTo(expected, 12));
});

async function integersOf(name: string): Promise<Int32Array> {
  await using file = await openSafetensors(join(folder, "batches.safetensors"));
  return decode("i32", await file.read(name)) as Int32Array;
}

const names = ["inputs", "targets", "accumulated_targets"];
const [inputs, targets, accumulatedTargets] = await Promise.all(names.map(integersOf));

/** Rows of the batch of a step. */
function batchAt(device: Device, step: number, labels: Int32Array, first: number, last: number): Batch {
  const part = (values: Int32Array): Int32Array => values.subarray((step * rows + first) * T, (step * rows + last) * T);
  const of = (values: Int32Array): Tensor => tensor(device, part(values), [last - first, T], "i32");
  return { ids: of(inputs!), targets: of(labels), trained: part(labels).filter((id) => id !== -100).length };
}

const variants = {
  plain: (device: Device, step: number) => [batchAt(device, step, targets!, 0, 8)],
  accumulated: (device: Device, step: number) => [
    batchAt(device, step, accumulatedTargets!, 0, 4), batchAt(device, step, accumulatedTargets!, 4, 8),
  ],
} as const;

const devices: Record<string, () => Device> = { reference: () => referenceDevice(), cpu: () => cpuDevice() };

describe.each(Object.keys(devices))("training on %s", (deviceName) => {
  const device = devices[deviceName]!();
  let [config, decoder] = [null as unknown as DecoderConfig, null as unknown as Decoder];
  const rowPositions = keep(iota(device, T));

  beforeAll(async () => {
    await using model = await openModelFolder(join(folder, "initial"));
    config = model.config;
    decoder = new Decoder(device, config, T);
  });
  afterAll(() => {
    decoder[Symbol.dispose]();
    rowPositions.dispose();
    expect(device.liveBuffers).toBe(0);
    device[Symbol.dispose]();
  });

  async function trainer(): Promise<Trainer<DecoderParameters, Batch>> {
    await using model = await openModelFolder(join(folder, "initial"));
    return new Trainer<DecoderParameters, Batch>({
      params: await loadParameters(device, model.weights, config), computeDtype: "f32", maxGradientNorm: 1,
      optimizer: { beta1: 0.9, beta2: 0.95, eps: 1e-8, weightDecay: 0.1 }, tokens: (batch) => batch.trained,
      loss: (params, { ids, targets: labels }, scale) => {
        const positions = broadcastTo(rowPositions, ids.shape);
        return decoder.loss(params, { ids, positions, documentStart: null }, labels, scale);
      },
    });
  }

  test.each(["plain", "accumulated"] as const)("%s: thirty steps equal PyTorch's", async (variant) => {
    using subject = await trainer();
    const expected = golden[variant].float64;
    for (let step = 0; step < steps; step++) {
      const batches = variants[variant](device, step);
      const { loss, gradientNorm } = await subject.step(batches, learningRate(step));
      expect(Math.abs(loss - expected.losses[step]!), `loss of step ${step + 1}`).toBeLessThan(1e-4);
      expect(Math.abs(gradientNorm / expected.gradientNorms[step]! - 1), `norm of step ${step + 1}`).toBeLessThan(1e-3);
      disposeTree(batches);
    }
    await using final = await openSafetensors(join(folder, "final.safetensors"));
    for (const { name, read } of parameterSources(subject.params, { ...config, dtype: "f32" })) {
      const truth = decode("f32", await final.read(`${variant}.${name}`));
      expect(relativeError(decode("f32", await read()), truth), name).toBeLessThan(1e-3);
    }
  });

  test("stopped at step 3 and resumed from a checkpoint on disk it equals the straight run bit for bit", async () => {
    const checkpoints = await mkdtemp(join(tmpdir(), "danu-trajectory-"));
    const run = async (until: number, store: CheckpointStore | null): Promise<string> => {
      using subject = await trainer();
      const start: RunPosition | undefined = (await store?.restoreNewest(subject))?.state;
      const save = async (position: RunPosition): Promise<void> => {
        const state = { ...position, seed: 1, schedule: null, dataPosition: null, versions: {} };
        await store?.save(subject, state, (into) => (
          writeModelFolder(into, { config, tensors: parameterSources(subject.params, config) })
        ));
      };
      const summary = await train<Batch>({
        trainer: subject, steps: until, learningRate, checkpoint: { every: Infinity, run: save },
        ...(start === undefined ? {} : { start }),
        batchesAt: (step) => variants.accumulated(device, step), releaseBatches: disposeTree,
      });
      expect(summary.step).toBe(until);
      const trees = [subject.params, subject.optimizer.mean, subject.optimizer.variance];
      const hash = createHash("sha256");
      for (const { tensor: leaf } of leavesOf(trees)) hash.update(await leaf.bytes());
      return hash.digest("hex");
    };
    try {
      const store = new CheckpointStore({ folder: checkpoints, tensorFiles });
      await run(3, store);
      expect(await run(5, store)).toEqual(await run(5, null));
      await using model = await openModelFolder(join(checkpoints, "step-00000005"));
      expect(model.config).toMatchObject({ hiddenSize: config.hiddenSize, layers: config.layers });
    } finally {
      await rm(checkpoints, { recursive: true, force: true });
    }
  });
});

import { cpuDevice } from "@danu/cpu";
import { schedule } from "@danu/optim";
import { disposeTree, tensor, type Device, type Tensor } from "@danu/tensor";
import { Trainer } from "@danu/train";
import { expect, test } from "vitest";

import {
  Decoder, Fp8Weights, inFp8, initialize, preset, Random, type DecoderOptions, type DecoderParameters,
} from "../src/index.ts";

interface Batch {
  readonly ids: Tensor;
  readonly targets: Tensor;
}

const [steps, B, T, V] = [200, 8, 32, 64];
const config = {
  ...preset("nano"),
  hiddenSize: 64,
  intermediateSize: 160,
  layers: 2,
  heads: 4,
  keyValueHeads: 2,
  headDim: 16,
  vocabularySize: V,
};
const learningRate = schedule({ kind: "cosine", peak: 2e-3, floor: 2e-4, warmup: 10, steps });

/** Rows of tokens that follow from the one before, but for one in eight. */
function batchAt(device: Device, step: number): Batch {
  const random = new Random(1000 + step);
  const ids = new Int32Array(B * (T + 1));
  for (let i = 0; i < ids.length; i++) {
    const fresh = i % (T + 1) === 0 || random.uniform() < 1 / 8;
    ids[i] = fresh ? Math.floor(random.uniform() * V) : (5 * ids[i - 1]! + 7) % V;
  }
  const rows = (from: number): number[] =>
    Array.from({ length: B * T }, (_, i) => ids[Math.floor(i / T) * (T + 1) + (i % T) + from]!);
  return { ids: tensor(device, rows(0), [B, T], "i32"), targets: tensor(device, rows(1), [B, T], "i32") };
}

/** The losses of a run, one a step. */
async function losses(dtype: "f32" | "bf16" | "fp8", options: DecoderOptions & { readonly steps?: number } = {}): Promise<number[]> {
  using device = cpuDevice({ threads: 2 });
  using decoder = new Decoder(device, config, T, options);
  using positions = tensor(
    device,
    Array.from({ length: B * T }, (_, i) => i % T),
    [B, T],
    "i32",
  );
  const fp8 = new Fp8Weights(device, config, dtype === "fp8" ? [] : ["0", "1"]);
  using trainer: Trainer<DecoderParameters, Batch> = new Trainer<DecoderParameters, Batch>({
    params: initialize(device, config, 3),
    computeDtype: dtype === "fp8" ? "bf16" : dtype,
    extra: fp8,
    tokens: () => B * T,
    loss: (params, { ids, targets }, scale) => (
      decoder.loss(inFp8(params, fp8, trainer.optimizer.steps === 0), { ids, positions, documentStart: null }, targets, scale)
    ),
  });
  const curve: number[] = [];
  for (let step = 0; step < (options.steps ?? steps); step++) {
    const batch = batchAt(device, step);
    curve.push((await trainer.step([batch], learningRate(step))).loss);
    disposeTree(batch);
  }
  return curve;
}

/** Means over windows of ten steps. */
function smoothed(curve: readonly number[]): number[] {
  return curve.slice(9).map((_, i) => curve.slice(i, i + 10).reduce((sum, loss) => sum + loss, 0) / 10);
}

const straight = losses("f32");

test.each([["bf16", 0.01], ["fp8", 0.02]] as const)(
  "%s learns as f32 does: the smoothed losses of 200 steps stay within a share of %d", async (dtype, share) => {
    const [f32, low] = [smoothed(await straight), smoothed(await losses(dtype))];
    expect(f32[0]!).toBeGreaterThan(0.8 * Math.log(V));
    expect(f32.at(-1)!, "it has learned").toBeLessThan(0.85 * f32[0]!);
    const apart = f32.map((loss, i) => Math.abs(low[i]! / loss - 1)).slice(20);
    expect(Math.max(...apart)).toBeLessThan(share);
    expect(low, `${dtype} was at work`).not.toEqual(f32);
  },
);

test("blocks computed again on the way back change no bit in fp8", async () => {
  expect(await losses("fp8", { steps: 5, recomputedBlocks: 2 })).toEqual(await losses("fp8", { steps: 5 }));
});

test("layers left out of fp8 have no matrix, and a name that is none is refused", () => {
  using device = cpuDevice({ threads: 1 });
  {
    using weights = new Fp8Weights(device, config, ["0", "down", "1.gate"]);
    expect(weights.blocks.map((block) => Object.keys(block))).toEqual([[], ["queryKeyValue", "output", "up"]]);
  }
  for (const name of ["2", "embedding", "0.norm", "down.0", "0.down.1", ""]) {
    expect(() => new Fp8Weights(device, config, [name])).toThrow(`expected a block from 0 to 1, a layer of query, key, value, output, gate, up, down, or both as in 0.down, got "${name}"`);
  }
  expect(device.liveBuffers).toBe(0);
});

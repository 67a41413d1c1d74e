import { Decoder, Fp8Weights, inFp8, initialize, type DecoderConfig, type DecoderParameters } from "@danu/model";
import { disposeTree, leavesOf, tensor, type Device, type Tensor } from "@danu/tensor";
import { hostIntegers, upload } from "@danu/testing";
import { Trainer } from "@danu/train";
import { beforeAll, beforeEach, describe, expect, test } from "vitest";

import { cudaDevice, type CudaDevice } from "../src/index.ts";
import { twinMissing } from "./cuda-home.ts";
import { Standin } from "./standin/control.ts";

const danube: DecoderConfig = {
  hiddenSize: 32, intermediateSize: 48, layers: 2, heads: 4, keyValueHeads: 2, headDim: 16, vocabularySize: 61, maxPositions: 40, slidingWindow: 9,
  ropeTheta: 10_000, rmsNormEps: 1e-5, tieEmbeddings: false, initializerRange: 0.3, bosId: null, eosId: null, padId: null, dtype: "f32",
};
const files = [
  "adamw", "attention-portable-backward", "attention-portable-decode", "attention-portable-forward", "cast", "cross-entropy", "elementwise", "embedding", "few-rows", "fp8-scaling",
  "gradient-norm", "matmul", "movement", "norm", "norm-rows", "quantise", "reduce", "rope", "rope-fp8", "swiglu", "swiglu-fp8", "updates",
];

interface Batch {
  readonly ids: Tensor;
  readonly positions: Tensor;
  readonly documentStart: Tensor | null;
  readonly targets: Tensor;
}

function batchOn(device: Device, seed: number, B: number, T: number): Batch {
  const positions = Array.from({ length: B * T }, (_, i) => i % T);
  return {
    ids: upload(device, hostIntegers("i32", [B, T], seed, danube.vocabularySize)), positions: tensor(device, positions, [B, T], "i32"),
    documentStart: null, targets: upload(device, hostIntegers("i32", [B, T], seed + 1, danube.vocabularySize)),
  };
}

type DType = "f32" | "bf16" | "fp8";
/** Micro-batches, their rows and the tokens of a row, step by step: the third is like the second, and so on until rows grow. */
const shapes = [[2, 2, 12], [2, 2, 12], [2, 2, 12], [2, 2, 12], [2, 2, 12], [2, 1, 24], [2, 1, 24], [2, 1, 24], [1, 1, 24], [1, 1, 24]] as const;

/** What the steps did, and the weights they left. */
async function train(device: CudaDevice, dtype: DType): Promise<unknown> {
  using decoder = new Decoder(device, danube);
  const fp8 = dtype === "fp8" ? new Fp8Weights(device, danube) : null;
  using trainer: Trainer<DecoderParameters, Batch> = new Trainer<DecoderParameters, Batch>({
    params: initialize(device, danube, 3), computeDtype: dtype === "fp8" ? "bf16" : dtype, tokens: ({ ids }) => ids.size, alike: () => "",
    ...(fp8 === null ? {} : { extra: fp8 }),
    loss: (p, batch, scale) => decoder.loss(fp8 === null ? p : inFp8(p, fp8, trainer.optimizer.steps === 0), batch, batch.targets, scale),
  });
  const results: unknown[] = [];
  for (const [step, [count, B, T]] of shapes.entries()) {
    const batches = Array.from({ length: count }, (_, i) => batchOn(device, 10 * step + i, B, T));
    results.push(await trainer.step(batches, 3e-3));
    disposeTree(batches);
  }
  const weights = await Promise.all(leavesOf([trainer.params, trainer.optimizer.mean, trainer.extra]).map((leaf) => leaf.tensor.read()));
  return { results, weights: weights.map((values) => [...values]) };
}

describe.skipIf(twinMissing)(`passes that are repeated, on a stand-in for the driver${twinMissing}`, () => {
  let standin: Standin;
  beforeAll(async () => {
    standin = await Standin.load(files);
  }, 900_000);
  beforeEach(() => standin.reset());

  const open = (): CudaDevice => cudaDevice({ driver: standin.library, kernels: standin.folder, env: {} });
  const launches = (): number => standin.calls().filter((call) => call.startsWith("cuGraphLaunch")).length;

  test.each(["f32", "bf16", "fp8"] as const)("steps in %s are those enqueued op by op to the bit, while rows grow and micro-batches become fewer", async (dtype) => {
    const device = open();
    const repeated = await train(device, dtype);
    // The first is like no other; of those that are alike the second fills an arena and the third is captured: the fourth and
    // fifth of two short rows, the last of one row in two micro-batches.
    expect(launches()).toBe(2 + 1);
    device[Symbol.dispose]();
    expect(standin.live()).toEqual({});
    standin.reset();
    using plain = open();
    Object.assign(plain, { repeat: () => null });
    expect(await train(plain, dtype)).toEqual(repeated);
    expect(launches()).toBe(0);
    expect(standin.reports()).toEqual([]);
  }, 900_000);
});

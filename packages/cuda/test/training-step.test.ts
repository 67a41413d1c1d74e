import { Decoder, Fp8Weights, inFp8, initialize, type DecoderConfig, type DecoderParameters } from "@danu/model";
import {
  cast, disposeTree, keep, leavesOf, mapTree, mul, referenceDevice, scope, tensor, valueAndGrad, type Device, type DType, type Tensor,
} from "@danu/tensor";
import { hostIntegers, upload } from "@danu/testing";
import { Trainer, type StepResult } from "@danu/train";
import { beforeAll, describe, expect, test } from "vitest";

import type { CudaDevice } from "../src/index.ts";
import { twinMissing } from "./cuda-home.ts";
import { once } from "./once.ts";
import { productsIn } from "./product-cases.ts";
import { Standin } from "./standin/control.ts";
import { onChip } from "./standin/on-chip.ts";

// Two blocks as Danube has them: grouped queries, a sliding window, documents side by side.
const danube = (headDim: number): DecoderConfig => ({
  hiddenSize: 72, intermediateSize: 104, layers: 2, heads: 4, keyValueHeads: 2, headDim, vocabularySize: 83, maxPositions: 130, slidingWindow: 9,
  ropeTheta: 10_000, rmsNormEps: 1e-5, tieEmbeddings: false, initializerRange: 0.12, bosId: null, eosId: null, padId: null, dtype: "f32",
});

/** Where the documents of each row begin. */
interface Rows {
  readonly T: number;
  readonly starts: readonly (readonly number[])[];
}
const shortRows: Rows = { T: 24, starts: [[0, 10, 17], [0, 5]] };
// As many positions as the attention kernels for Hopper ask for.
const longRow: Rows = { T: 130, starts: [[0, 50, 71]] };

interface Batch {
  readonly ids: Tensor;
  readonly positions: Tensor;
  readonly documentStart: Tensor;
  readonly targets: Tensor;
  readonly trained: number;
}

function batchOn(device: Device, vocabulary: number, seed: number, { T, starts: documents }: Rows): Batch {
  const B = documents.length;
  const starts = documents.map((own) => Array.from({ length: T }, (_, t) => own.findLast((start) => start <= t)!));
  const integers = (values: readonly number[]): Tensor => tensor(device, values, [B, T], "i32");
  const targets = hostIntegers("i32", [B, T], seed + 1, vocabulary).values.map((id, i) => (i % 7 === 4 ? -100 : id));
  return {
    ids: upload(device, hostIntegers("i32", [B, T], seed, vocabulary)),
    positions: integers(starts.flatMap((row) => row.map((start, t) => t - start))),
    documentStart: integers(starts.flat()), targets: integers(targets), trained: targets.filter((id) => id >= 0).length,
  };
}

function tensorsOf({ ids, positions, documentStart, targets }: Batch): readonly Tensor[] {
  return [ids, positions, documentStart, targets];
}

/** Fresh weights, rounded to one type after another. */
function weightsOn(device: Device, config: DecoderConfig, types: readonly DType[]): DecoderParameters {
  const fresh = initialize(device, config, 3);
  const rounded = mapTree(fresh, (p) => keep(scope(() => types.reduce((x, dtype) => cast(x, dtype), mul(p, 1)))));
  disposeTree(fresh);
  return rounded as DecoderParameters;
}

interface Gradients {
  readonly loss: number;
  readonly gradients: ReadonlyMap<string, ArrayLike<number>>;
}

/** Loss and gradients of one batch; the weights are rounded to one type after another. */
async function gradientsOn(device: Device, config: DecoderConfig, rows: Rows, ...types: DType[]): Promise<Gradients> {
  using decoder = new Decoder(device, config);
  const params = weightsOn(device, config, types);
  const batch = batchOn(device, config.vocabularySize, 5, rows);
  const step = valueAndGrad((p: DecoderParameters) => decoder.loss(p, batch, batch.targets, 1 / batch.trained));
  const [loss, tree] = scope(() => step(params));
  const gradients = new Map<string, ArrayLike<number>>();
  for (const { path, tensor: gradient } of leavesOf(tree)) gradients.set(path, await gradient.read());
  const value = await loss.item();
  disposeTree([loss, tree, params, tensorsOf(batch)]);
  return { loss: value, gradients };
}

/** Length of the difference over the length of what is expected. */
function distance(actual: ArrayLike<number>, expected: ArrayLike<number>): number {
  let [difference, length] = [0, 0];
  for (let i = 0; i < expected.length; i++) {
    difference += (actual[i]! - expected[i]!) ** 2;
    length += expected[i]! ** 2;
  }
  return Math.sqrt(difference / length);
}

/** Optimizer steps of two micro-batches each. */
async function trainOn(device: Device, config: DecoderConfig, dtype: "f32" | "bf16" | "fp8", steps = 5): Promise<StepResult[]> {
  using decoder = new Decoder(device, config);
  const fp8 = dtype === "fp8" ? new Fp8Weights(device, config) : null;
  using trainer: Trainer<DecoderParameters, Batch> = new Trainer<DecoderParameters, Batch>({
    params: initialize(device, config, 3), computeDtype: dtype === "fp8" ? "bf16" : dtype, maxGradientNorm: 1, tokens: ({ trained }) => trained,
    ...(fp8 === null ? {} : { extra: fp8 }),
    loss: (p, batch, scale) => (
      decoder.loss(fp8 === null ? p : inFp8(p, fp8, trainer.optimizer.steps === 0), batch, batch.targets, scale)
    ),
  });
  const batches = [5, 9].map((seed) => batchOn(device, config.vocabularySize, seed, shortRows));
  const results: StepResult[] = [];
  for (let step = 0; step < steps; step++) results.push(await trainer.step(batches, 3e-3));
  disposeTree(batches.map(tensorsOf));
  return results;
}

// The reference device does the same for every chip.
const [gradientsOf, trainingOf] = [once<Gradients>(), once<StepResult[]>()];

const types = ["f32", "bf16"] as const;
const kinds = (["9.0", "8.0"] as const).flatMap((capability) => [80, 64].map((headDim) => ({ capability, headDim })));
const kernelFiles = [
  "adamw", "attention-backward", "attention-forward", "attention-portable-backward", "attention-portable-forward", "cast", "cross-entropy", "elementwise",
  "embedding", "few-rows", "fp8-scaling", "gradient-norm", "matmul", "movement", "norm", "norm-rows", "quantise", "reduce", "rope", "rope-fp8", "swiglu",
  "swiglu-fp8", "updates",
];

describe.skipIf(twinMissing)(`a training step${twinMissing}`, () => {
  let standin: Standin;
  beforeAll(async () => {
    standin = await Standin.load(kernelFiles);
  }, 600_000);

  describe.each(kinds)("on a GPU of compute capability $capability, heads of $headDim", ({ capability, headDim }) => {
    const config = danube(headDim);
    let cuda: CudaDevice;
    onChip(() => standin, capability, (opened) => (cuda = opened));

    test.each(types)("loss and every gradient err at most twice as much as the reference device's, %s", async (dtype) => {
      const rows = capability === "9.0" && dtype === "bf16" ? longRow : shortRows;
      const name = `${headDim} ${dtype} ${rows.T}`;
      const exact = await gradientsOf(`exact ${name}`, () => gradientsOn(referenceDevice({ precision: "f64" }), config, rows, dtype, "f32"));
      const reference = await gradientsOf(name, () => gradientsOn(referenceDevice(), config, rows, dtype));
      const own = await gradientsOn(cuda, config, rows, dtype);
      // The gradients of bf16 logits are rounded to bf16 before they are multiplied.
      const slack = dtype === "bf16" ? 2 ** -9 : 1e-5;
      expect(Math.abs(own.loss - exact.loss)).toBeLessThanOrEqual(2 * Math.abs(reference.loss - exact.loss) + slack);
      expect([...own.gradients.keys()]).toEqual([...exact.gradients.keys()]);
      for (const [name, expected] of exact.gradients) {
        const allowed = 2 * distance(reference.gradients.get(name)!, expected) + slack;
        expect(distance(own.gradients.get(name)!, expected), name).toBeLessThanOrEqual(allowed);
      }
      expect(await gradientsOn(cuda, config, rows, dtype), "a second time").toEqual(own);
    }, 600_000);

    // Twenty passes each: one type a chip.
    const trained = capability === "9.0" ? "bf16" : "f32";
    test.skipIf(headDim === 64)(`five optimizer steps go as on the reference device, ${trained}`, async () => {
      const [own, expected] = [await trainOn(cuda, config, trained), await trainOn(referenceDevice(), config, trained)];
      const near = trained === "bf16" ? 4e-3 : 2e-5;
      own.forEach(({ loss, gradientNorm, tokens }, step) => {
        expect(tokens).toBe(expected[step]!.tokens);
        expect(Math.abs(loss / expected[step]!.loss - 1), `loss of step ${step + 1}`).toBeLessThan(near);
        expect(Math.abs(gradientNorm / expected[step]!.gradientNorm - 1), `norm of step ${step + 1}`).toBeLessThan(4 * near);
      });
      expect(own.at(-1)!.loss).toBeLessThan(0.9 * own[0]!.loss);
    }, 600_000);
  });

  describe.each([["9.0", "danu"], ["8.0", "danu"], ["8.9", "cublaslt"]] as const)("in fp8 on a GPU of compute capability %s, products of %s", (capability, products) => {
    // Multiples of 16 throughout, as the kernels ask for.
    const config = { ...danube(80), hiddenSize: 64, intermediateSize: 96 };
    let cuda: CudaDevice;
    onChip(() => standin, capability, (opened) => (cuda = opened), products);

    // The first step scales by itself, the second and third by what came before.
    test("three optimizer steps go as on the reference device, and the first again to the bit", async () => {
      const [own, expected] = [await trainOn(cuda, config, "fp8", 3), await trainingOf("fp8", () => trainOn(referenceDevice(), config, "fp8", 3))];
      expect(await trainOn(cuda, config, "fp8", 1)).toEqual(own.slice(0, 1));
      own.forEach(({ loss, gradientNorm }, step) => {
        expect(Math.abs(loss / expected[step]!.loss - 1), `loss of step ${step + 1}`).toBeLessThan(0.01);
        expect(Math.abs(gradientNorm / expected[step]!.gradientNorm - 1), `norm of step ${step + 1}`).toBeLessThan(0.05);
      });
      expect(own.at(-1)!.loss).toBeLessThan(0.97 * own[0]!.loss);
      const did = new Set(productsIn(standin.calls()).filter((by) => /cublasLt|_e[45]m[23]_/.test(by)));
      expect([...did].sort()).toEqual(products === "danu" ? ["matmul_e4m3_nt", "matmul_e5m2_nt"] : ["cublasLtMatmul"]);
    }, 600_000);
  });
});

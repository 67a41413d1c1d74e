import {
  disposeTree, fp8LinearGradOp, fp8LinearOp, fp8Scaling, fp8Update, keep, referenceDevice, run, scope,
  type Device, type Tensor, type Values,
} from "@danu/tensor";
import { hostTensor, relativeError, upload } from "@danu/testing";
import fc from "fast-check";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";

import { cudaDevice, type CudaDevice } from "../src/index.ts";
import { twinMissing } from "./cuda-home.ts";
import { Standin } from "./standin/control.ts";
import { onChip } from "./standin/on-chip.ts";

interface Layer {
  readonly rows: readonly number[];
  readonly C: number;
  readonly O: number;
  readonly residual: boolean;
  readonly seed: number;
}

interface Step {
  readonly y: Values;
  readonly dx: Values;
  readonly dWeight: Values;
  /** Factors, magnitudes and history after the step. */
  readonly scaling: Values;
  readonly bytes: readonly Uint8Array[];
}

/** Steps of a layer there and back, each with other numbers: the first scales by itself, the others by what came before. */
async function stepsOf(device: Device, { rows, C, O, residual, seed }: Layer, count: number): Promise<Step[]> {
  const scaling = fp8Scaling(device);
  const own = (offset: number, ...shape: number[]): Tensor => upload(device, hostTensor("bf16", shape, seed + offset));
  const steps: Step[] = [];
  for (let i = 0; i < count; i++) {
    const results = scope(() => {
      const [x, weight, g] = [own(4 * i, ...rows, C), own(1, O, C), own(4 * i + 2, ...rows, O)];
      const calibrate = i === 0;
      const [y] = run(fp8LinearOp, [x, weight, residual ? own(4 * i + 3, ...rows, O) : null, scaling], { calibrate });
      const [dx, dWeight] = run(fp8LinearGradOp, [g, x, weight, scaling], { calibrate, needsInput: true, needsWeight: true });
      fp8Update(scaling);
      return keep([y, dx, dWeight]);
    });
    const bytes: Uint8Array[] = [];
    for (const tensor of [...results, scaling]) bytes.push(await tensor.bytes());
    const [y, dx, dWeight] = results.map(({ dtype }, j) => device.decode(dtype, bytes[j]!));
    steps.push({ y: y!, dx: dx!, dWeight: dWeight!, scaling: device.decode("f32", bytes[3]!), bytes });
    disposeTree(results);
  }
  scaling.dispose();
  return steps;
}

/** Asserts that a layer on the GPU is what the simpler ops say: the same casts, so that only the order of sums and the last
 *  rounding differ. */
async function expectSame(cuda: CudaDevice, layer: Layer, count: number): Promise<void> {
  const [got, again, wanted] = [await stepsOf(cuda, layer, count), await stepsOf(cuda, layer, count), await stepsOf(referenceDevice(), layer, count)];
  for (const [i, step] of got.entries()) {
    expect(step.bytes).toEqual(again[i]!.bytes);
    expect(step.scaling).toEqual(wanted[i]!.scaling);
    for (const name of ["y", "dx"] as const) expect(relativeError(step[name], wanted[i]![name]), name).toBeLessThan(2 ** -8);
    expect(relativeError(step.dWeight, wanted[i]!.dWeight)).toBeLessThan(2e-6);
  }
}

const layers = fc.record({
  rows: fc.constantFrom([0], [1], [5], [2, 9], [150]), C: fc.constantFrom(16, 48, 144, 272), O: fc.constantFrom(16, 80, 144),
  residual: fc.boolean(), seed: fc.integer({ min: 0, max: 1e6 }),
});

describe.skipIf(twinMissing)(`fp8 layers${twinMissing}`, () => {
  let standin: Standin;
  beforeAll(async () => {
    standin = await Standin.load(["cast", "elementwise", "fp8-scaling", "gemm", "matmul", "movement", "quantise", "reduce"]);
  }, 600_000);

  describe.each(["8.0", "8.9", "9.0"])("on a GPU of compute capability %s", (capability) => {
    let cuda: CudaDevice;
    onChip(() => standin, capability, (opened) => (cuda = opened));

    test("three steps equal the simpler ops", async () => {
      await fc.assert(fc.asyncProperty(layers, async (layer) => await expectSame(cuda, layer, 3)), { numRuns: 12, seed: 5 });
    }, 300_000);
  });

  describe("large layers on Hopper", () => {
    let cuda: CudaDevice;
    beforeAll(() => {
      standin.reset();
      cuda = cudaDevice({ driver: standin.library, kernels: standin.folder });
    });
    beforeEach(() => standin.clear());
    afterAll(() => cuda[Symbol.dispose]());
    const products = (): Set<string> => new Set(standin.calls().flatMap((call) => /\bgemm_fp8_\w+/.exec(call)?.[0] ?? []));

    // 33 pairs of tiles, the fewest that these kernels take, for one product of each layer.
    test.each<[layer: Layer, kernels: readonly string[]]>([
      [{ rows: [40], C: 32, O: 8208, residual: false, seed: 1 }, ["gemm_fp8_forward", "gemm_fp8_weight_gradient"]],
      [{ rows: [40], C: 8208, O: 32, residual: false, seed: 2 }, ["gemm_fp8_input_gradient", "gemm_fp8_weight_gradient"]],
      [{ rows: [24], C: 16, O: 8208, residual: true, seed: 3 }, ["gemm_fp8_forward_residual", "gemm_fp8_weight_gradient"]],
    ])("%j", async (layer, kernels) => {
      await expectSame(cuda, layer, 1);
      expect(products()).toEqual(new Set(kernels));
    }, 120_000);
  });
});

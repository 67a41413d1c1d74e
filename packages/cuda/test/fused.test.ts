import { ropeOp } from "@danu/attention";
import { adamw, clipScaleOp, sumSquaresOp, type AdamWParameter } from "@danu/optim";
import {
  addIntoOp, disposeTree, embedding, embeddingGradOp, ignoreIndex, linearCrossEntropyOp, referenceDevice, rmsNormGradOp, rmsNormOp, run,
  runUpdate, scaleIntoOp, scope, swigluGradOp, swigluOp, tensor, tokenLossesGradOp, tokenLossesOp,
  type Device, type Tensor, type Values,
} from "@danu/tensor";
import { hostIntegers, hostTensor, relativeError, upload } from "@danu/testing";
import fc from "fast-check";
import { beforeAll, describe, expect, test } from "vitest";

import type { CudaDevice } from "../src/index.ts";
import { twinMissing } from "./cuda-home.ts";
import { Standin } from "./standin/control.ts";
import { onChip } from "./standin/on-chip.ts";

const chips = ["8.0", "9.0"] as const;
const types = ["f32", "bf16"] as const;
type Float = (typeof types)[number];

/** Makes tensors of normal numbers: from one seed the same numbers on every device. */
interface Make {
  readonly device: Device;
  /** Of the type under test. */
  own(seed: number, ...shape: number[]): Tensor;
  /** Of f32 whatever is under test. */
  f32(seed: number, ...shape: number[]): Tensor;
  /** Integers from 0 to `bound` − 1; `at` may change one. */
  i32(seed: number, bound: number, shape: readonly number[], at?: (value: number, i: number) => number): Tensor;
}

function makerOn(device: Device, dtype: Float, kept: Float): Make {
  return {
    device,
    own: (seed, ...shape) => upload(device, hostTensor(dtype, shape, seed), kept),
    f32: (seed, ...shape) => upload(device, hostTensor("f32", shape, seed)),
    i32: (seed, bound, shape, at = (value) => value) => {
      const host = hostIntegers("i32", shape, seed, bound);
      return upload(device, { ...host, values: host.values.map(at) });
    },
  };
}

type Call = (make: Make) => readonly Tensor[];

async function resultsOf(make: Make, call: Call): Promise<{ bytes: Uint8Array; values: Values }[]> {
  const outputs = scope(() => call(make));
  try {
    const results = [];
    for (const y of outputs) {
      const bytes = await y.bytes();
      results.push({ bytes, values: make.device.decode(y.dtype, bytes) });
    }
    return results;
  } finally {
    disposeTree(outputs);
  }
}

/** Asserts that a call errs at most twice as much as the reference device with the same types, and repeats to the bit.
 *  @param slack what it may err beyond that, of the largest result */
async function expectExact(cuda: CudaDevice, dtype: Float, call: Call, slack: number): Promise<void> {
  const got = await resultsOf(makerOn(cuda, dtype, dtype), call);
  const again = await resultsOf(makerOn(cuda, dtype, dtype), call);
  const reference = await resultsOf(makerOn(referenceDevice(), dtype, dtype), call);
  const exact = await resultsOf(makerOn(referenceDevice({ precision: "f64" }), dtype, "f32"), call);
  got.forEach(({ bytes, values }, i) => {
    expect(again[i]!.bytes).toEqual(bytes);
    const allowed = 2 * relativeError(reference[i]!.values, exact[i]!.values) + slack;
    expect(relativeError(values, exact[i]!.values), `output ${i}`).toBeLessThanOrEqual(allowed);
  });
}

const seeds = fc.integer({ min: 0, max: 1e6 });
const sizes = fc.constantFrom(0, 1, 7, 8, 9, 2047, 2048, 2049, 5003);

// Few rows where they are long: the reference device spells everything out.
const norms = fc.record({ most: fc.constantFrom(0, 1, 3, 9, 33, 400), C: fc.constantFrom(1, 3, 8, 80, 257, 1032, 2560, 3000, 8208), eps: fc.constantFrom(1e-5, 1e-2), seed: seeds })
  .map(({ most, ...sample }) => ({ ...sample, N: Math.min(most, Math.ceil(6000 / sample.C)) }));
const heads = fc.record({
  B: fc.constantFrom(1, 2, 0), T: fc.constantFrom(1, 3, 5), H: fc.constantFrom(1, 3, 8), D: fc.constantFrom(2, 6, 24, 64, 80, 120, 128),
  inverse: fc.boolean(), seed: seeds,
});
const losses = fc.record({
  N: fc.constantFrom(0, 1, 2, 7, 20, 140), C: fc.constantFrom(1, 8, 37), V: fc.constantFrom(1, 3, 64, 333), scale: fc.constantFrom(1, 0.03),
  weightGradient: fc.boolean(), seed: seeds,
});
const tables = fc.record({
  n: fc.constantFrom(0, 1, 5, 130, 300), V: fc.constantFrom(1, 4, 30), C: fc.constantFrom(1, 7, 8, 80, 264), seed: seeds,
});

const kernelFiles = [
  "adamw", "cast", "cross-entropy", "elementwise", "embedding", "few-rows", "gradient-norm", "matmul", "norm", "norm-rows", "rope", "swiglu", "updates",
];

describe.skipIf(twinMissing)(`fused kernels${twinMissing}`, () => {
  let standin: Standin;
  beforeAll(async () => {
    standin = await Standin.load(kernelFiles);
  }, 600_000);

  describe.each(chips)("on a GPU of compute capability %s", (capability) => {
    let cuda: CudaDevice;
    onChip(() => standin, capability, (opened) => (cuda = opened));

    /** Runs a property for each type; the same calls every time, so that what fails can be looked at. */
    function each<T>(name: string, calls: fc.Arbitrary<T>, numRuns: number, callOf: (sample: T) => Call, slack = { f32: 2e-6, bf16: 2e-6 }): void {
      test.each(types)(`${name}, %s`, async (dtype) => {
        await fc.assert(fc.asyncProperty(calls, (sample) => expectExact(cuda, dtype, callOf(sample), slack[dtype])), { numRuns: numRuns / (capability === "9.0" ? 1 : 2), seed: 20 });
      }, 300_000);
    }

    each("rmsNorm", norms, 16, ({ N, C, eps, seed }) => ({ own }) => run(rmsNormOp, [own(seed, N, C), own(seed + 1, C)], { eps }));

    each("rmsNormGrad", norms, 16, ({ N, C, eps, seed }) => ({ own }) => {
      const [x, weight] = [own(seed, N, C), own(seed + 1, C)];
      const inverseRms = run(rmsNormOp, [x, weight], { eps })[1];
      const residual = seed % 2 === 0 ? own(seed + 3, N, C) : null;
      return run(rmsNormGradOp, [own(seed + 2, N, C), x, weight, inverseRms, residual], { eps });
    });

    each("swiglu", fc.tuple(sizes, seeds), 12, ([n, seed]) => ({ own }) => run(swigluOp, [own(seed, n), own(seed + 1, n)], null));

    each("swigluGrad", fc.tuple(sizes, seeds), 12, ([n, seed]) => ({ own }) => (
      run(swigluGradOp, [own(seed, n), own(seed + 1, n), own(seed + 2, n)], null)
    ));

    each("rope", heads, 16, ({ B, T, H, D, inverse, seed }) => ({ own, f32, i32 }) => (
      run(ropeOp, [own(seed, B, T, H, D), f32(seed + 1, 11, D), i32(seed + 2, 11, [B, T])], { inverse })
    ));

    each("embedding", tables, 12, ({ n, V, C, seed }) => ({ own, i32 }) => [embedding(i32(seed, V, [n]), own(seed + 1, V, C))]);

    // Half of the ids are the same, so that its segment is a heavy one; a sum of hundreds in f32 may cancel.
    each("embeddingGrad", tables, 16, ({ n, V, C, seed }) => ({ own, i32 }) => (
      run(embeddingGradOp, [own(seed, n, C), i32(seed + 1, V, [n], (id, i) => (i % 2 === 0 ? 0 : id))], { V })
    ), { f32: 1e-5, bf16: 1e-5 });

    const trained = ({ own, i32 }: Make, { N, C, V, seed }: { N: number; C: number; V: number; seed: number }): [Tensor, Tensor, Tensor] => (
      [own(seed, N, C), own(seed + 1, V, C), i32(seed + 2, V, [N], (id, i) => (i % 5 === 3 ? ignoreIndex : id))]
    );
    // The gradients of bf16 logits are rounded to bf16 before they are multiplied.
    const rounding = { f32: 4e-6, bf16: 2 ** -8 };
    each("tokenLosses", losses, 16, (sample) => (make) => run(tokenLossesOp, trained(make, sample), null));

    each("tokenLossesGrad", losses, 16, (sample) => (make) => (
      run(tokenLossesGradOp, [make.f32(sample.seed + 3, sample.N), ...trained(make, sample)], sample)
    ), rounding);

    each("linearCrossEntropy", losses, 16, (sample) => (make) => run(linearCrossEntropyOp, trained(make, sample), sample), rounding);

    const adamwCalls = fc.record({ ns: fc.array(sizes, { minLength: 1, maxLength: 4 }), scale: fc.constantFrom(null, 0.25, NaN, Infinity), step: fc.constantFrom(1, 7, 1000), seed: seeds });
    each("adamw", adamwCalls, 20, ({ ns, scale, step, seed }) => ({ device, own, f32 }) => {
      const parameters = ns.map((n, i): AdamWParameter => {
        const variance = scope(() => run(swigluOp, [f32(seed + i, n), f32(seed + i, n)], null)[0]);
        return { param: f32(seed + i, n), gradient: f32(seed + 1 + i, n), mean: f32(seed + 2 + i, n), variance, copy: i === 1 ? null : own(seed + i, n), fp8: null, weightDecay: 0.1 * i };
      });
      adamw(parameters, scale === null ? null : tensor(device, [scale], []), { learningRate: 1e-2, beta1: 0.9, beta2: 0.95, eps: 1e-8, step });
      return parameters.flatMap(({ param, mean, variance, copy }) => [param, mean, variance, ...(copy === null ? [] : [copy])]);
    });

    test("adamw and sumSquares of more tensors than a launch takes", async () => {
      const all = (f32: Make["f32"], first: number): Tensor[] => Array.from({ length: 200 }, (_, i) => f32(first + i, i % 7 === 3 ? 0 : 1 + i % 5));
      await expectExact(cuda, "f32", ({ f32 }) => run(sumSquaresOp, all(f32, 1), null), 2e-6);
      await expectExact(cuda, "f32", ({ f32 }) => {
        const [params, gradients, means] = [all(f32, 1), all(f32, 300), all(f32, 600)];
        const variances = scope(() => means.map((m) => run(swigluOp, [m, m], null)[0]));
        adamw(params.map((param, i) => ({ param, gradient: gradients[i]!, mean: means[i]!, variance: variances[i]!, copy: null, fp8: null, weightDecay: 0.1 })), null, { learningRate: 1e-2, beta1: 0.9, beta2: 0.95, eps: 1e-8, step: 2 });
        return [...params, ...means, ...variances];
      }, 2e-6);
    }, 60_000);

    each("addInto and scaleInto", fc.tuple(sizes, seeds, fc.constantFrom(1, 0.3, -7)), 16, ([n, seed, factor]) => ({ device, own, f32 }) => {
      const [a, b, c] = [own(seed, n), f32(seed + 1, n), own(seed + 2, n)];
      runUpdate(addIntoOp, [a, b], null);
      runUpdate(addIntoOp, [b, c], null);
      runUpdate(scaleIntoOp, [c, tensor(device, [factor], [])], null);
      return [a, b, c];
    });

    const normCalls = fc.record({ n: fc.oneof({ weight: 4, arbitrary: sizes }, { weight: 1, arbitrary: fc.constant(65_537) }), m: sizes, maxNorm: fc.constantFrom(1, 1e-3, Infinity), seed: seeds });
    each("sumSquares and clipScale", normCalls, 12, ({ n, m, maxNorm, seed }) => ({ device, f32 }) => {
      const [norm, scale] = [tensor(device, [7], []), tensor(device, [7], [])];
      const [total] = run(sumSquaresOp, [f32(seed, n), f32(seed + 1, m)], null);
      runUpdate(clipScaleOp, [scale, norm, total], { maxNorm });
      return [total, norm, scale];
    });

    test("embeddingGrad of more ids than fit into shared memory", async () => {
      const call: Call = ({ own, i32 }) => run(embeddingGradOp, [own(1, 90, 2), i32(2, 60_000, [90], (id, i) => (i % 3 === 0 ? 59_999 : id))], { V: 60_000 });
      await expectExact(cuda, "bf16", call, 1e-5);
    });

    test("an index outside of its table is told at the next read, and the device goes on", async () => {
      const make = makerOn(cuda, "bf16", "bf16");
      const bad = (at: number) => (value: number, i: number): number => (i === 2 ? at : value);
      const calls: [expected: string, call: Call][] = [
        ["from 0 to 9, got 10", ({ own, i32 }) => [embedding(i32(1, 10, [4], bad(10)), own(2, 10, 8))]],
        ["from 0 to 9, got -1", ({ own, i32 }) => run(embeddingGradOp, [own(1, 4, 8), i32(2, 10, [4], bad(-1))], { V: 10 })],
        ["from 0 to 4, got 5", ({ own, f32, i32 }) => run(ropeOp, [own(1, 1, 4, 2, 16), f32(2, 5, 16), i32(3, 5, [1, 4], bad(5))], { inverse: false })],
        ["from 0 to 6, got 7", ({ own, i32 }) => run(tokenLossesOp, [own(1, 4, 8), own(2, 7, 8), i32(3, 7, [4], bad(7))], null)],
      ];
      for (const [expected, call] of calls) {
        await expect(resultsOf(make, call)).rejects.toThrow(`expected an index ${expected}`);
        await expectExact(cuda, "f32", ({ f32 }) => run(swigluOp, [f32(1, 9), f32(2, 9)], null), 2e-6);
      }
    });
  });
});

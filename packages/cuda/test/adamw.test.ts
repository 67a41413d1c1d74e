import { adamw, type AdamWAttrs, type AdamWParameter } from "@danu/optim";
import {
  assign, cast, disposeTree, fp8Columns, fp8Matrix, fp8Rows, mul, referenceDevice, scope, tensor, tensorsIn, writeFp8Rows,
  type Device, type DType, type Fp8Matrix, type Tensor,
} from "@danu/tensor";
import { hostTensor, relativeError, upload } from "@danu/testing";
import fc from "fast-check";
import { beforeAll, describe, expect, test } from "vitest";

import type { CudaDevice } from "../src/index.ts";
import { twinMissing } from "./cuda-home.ts";
import { Standin } from "./standin/control.ts";
import { onChip } from "./standin/on-chip.ts";

/** A parameter in the rows of a matrix. */
interface Sample {
  readonly O: number;
  readonly C: number;
  readonly row: number;
  /** Rows of the matrix below the parameter's; null for a parameter that products do not read in fp8. */
  readonly after: number | null;
  readonly factor: number;
  readonly copy: boolean;
  readonly weightDecay: number;
  readonly seed: number;
}

const attrs: AdamWAttrs = { learningRate: 1e-2, beta1: 0.9, beta2: 0.95, eps: 1e-8, step: 7 };

/** A matrix that holds something else, with a factor in force and a magnitude noted. */
function matrixOn(device: Device, { O, C, row, after, factor }: Sample): Fp8Matrix | null {
  if (after === null) return null;
  const matrix = fp8Matrix(device, row + O + after, C);
  scope(() => {
    const values = [1 / factor, 1, factor, 0.5, 2, ...new Array<number>(fp8Columns.count - 5).fill(1)];
    assign(matrix.scaling, tensor(device, fp8Rows.flatMap(() => values), [fp8Rows.length, fp8Columns.count]));
    writeFp8Rows(matrix, upload(device, hostTensor("f32", [row + O + after, C], 99)), 0);
  });
  return matrix;
}

/** What a step leaves of a parameter; copy and matrix are absent where there is none. */
interface Result {
  readonly state: { readonly param: Tensor; readonly mean: Tensor; readonly variance: Tensor };
  readonly copy: Tensor | null;
  readonly matrix: Fp8Matrix | null;
}

function stepOn(device: Device, samples: readonly Sample[], gradientScale: number | null): Result[] {
  const gradients: Tensor[] = [];
  const results = samples.map((sample): Result => {
    const { O, C, copy, seed } = sample;
    const make = (offset: number, dtype: DType = "f32"): Tensor => upload(device, hostTensor(dtype, [O, C], seed + offset));
    const [param, mean, roots] = [make(0), make(1), make(2)];
    const variance = mul(roots, roots);
    roots.dispose();
    gradients.push(make(3));
    return { state: { param, mean, variance }, copy: copy ? make(4, "bf16") : null, matrix: matrixOn(device, sample) };
  });
  scope(() => {
    const scale = gradientScale === null ? null : tensor(device, [gradientScale], []);
    const parameters = results.map(({ state, copy, matrix }, i): AdamWParameter => {
      const { row, weightDecay } = samples[i]!;
      return { ...state, gradient: gradients[i]!, copy, fp8: matrix === null ? null : { matrix, row }, weightDecay };
    });
    adamw(parameters, scale, attrs);
  });
  disposeTree(gradients);
  return results;
}

const samples: fc.Arbitrary<Sample> = fc.record({
  O: fc.constantFrom(16, 48, 144), C: fc.constantFrom(16, 32, 272), row: fc.constantFrom(0, 16, 160), after: fc.constantFrom(null, 0, 32),
  factor: fc.constantFrom(1, 37, 300), copy: fc.boolean(), weightDecay: fc.constantFrom(0, 0.1), seed: fc.integer({ min: 0, max: 1e6 }),
});

describe.skipIf(twinMissing)(`AdamW with copies in fp8${twinMissing}`, () => {
  let standin: Standin;
  beforeAll(async () => {
    standin = await Standin.load(["adamw", "cast", "elementwise", "movement", "reduce"]);
  }, 600_000);

  describe.each(["8.0", "9.0"])("on a GPU of compute capability %s", (capability) => {
    let cuda: CudaDevice;
    onChip(() => standin, capability, (opened) => (cuda = opened));

    /** Asserts that parameters and moments are those of the reference device but for their last bits, that the copies are those of
     *  these parameters, bit for bit, and that a step repeats. @returns the kernels that each step launched */
    async function expectRight(all: readonly Sample[], gradientScale: number | null): Promise<string[]> {
      standin.clear();
      const results = [stepOn(cuda, all, gradientScale), stepOn(cuda, all, gradientScale), stepOn(referenceDevice(), all, gradientScale)] as const;
      const [got, again, wanted] = results;
      for (const [i, sample] of all.entries()) {
        for (const name of ["param", "mean", "variance"] as const) {
          expect(relativeError(await got[i]!.state[name].read(), await wanted[i]!.state[name].read()), `${name} ${i}`).toBeLessThan(3e-7);
        }
        const same = tensor(referenceDevice(), Array.from(await got[i]!.state.param.read()), [sample.O, sample.C]);
        const expected = scope(() => {
          const matrix = matrixOn(same.device, sample);
          if (matrix !== null) writeFp8Rows(matrix, same, sample.row);
          return { copy: sample.copy ? cast(same, "bf16") : null, matrix };
        });
        expect(await bytesOf([got[i]!.copy, got[i]!.matrix])).toEqual(await bytesOf([expected.copy, expected.matrix]));
        disposeTree([same, expected]);
      }
      expect(await bytesOf(again)).toEqual(await bytesOf(got));
      disposeTree(results);
      const launched = standin.calls().flatMap((call) => /^cuLaunchKernel\b.*\b(adamw_\w+)/.exec(call)?.[1] ?? []);
      expect(launched.splice(launched.length / 2)).toEqual(launched);
      return launched;
    }

    test("parameters are updated and cast as the simpler ops do, those of a kind in one launch", async () => {
      const steps = fc.tuple(fc.array(samples, { minLength: 1, maxLength: 3 }), fc.constantFrom(null, 0.25, NaN, Infinity));
      await fc.assert(fc.asyncProperty(steps, async ([all, gradientScale]) => {
        const [flat, matrix] = [all.some(({ after }) => after === null), all.some(({ after }) => after !== null)];
        expect(await expectRight(all, gradientScale)).toEqual([...(flat ? ["adamw_flat"] : []), ...(matrix ? ["adamw_matrix"] : [])]);
      }), { numRuns: 8, seed: 8 });
    }, 300_000);

    const one: Sample = { O: 16, C: 32, row: 16, after: 16, factor: 37, copy: true, weightDecay: 0.1, seed: 3 };

    test("more parameters than a launch takes", async () => {
      const all = Array.from({ length: 110 }, (_, i): Sample => ({ ...one, O: 16, C: 16, after: i < 45 ? 0 : null, seed: i }));
      expect(await expectRight(all, 0.5)).toEqual(["adamw_flat", "adamw_flat", "adamw_matrix", "adamw_matrix"]);
    }, 120_000);

    test.each<Partial<Sample>>([{ C: 24 }, { O: 8 }, { row: 8 }, { after: 4 }])("without rows of 16 bytes the simpler ops serve: %j", async (odd) => {
      expect(await expectRight([{ ...one, ...odd }], 0.25)).toEqual([]);
      expect(await expectRight([one, { ...one, ...odd }], 0.25)).toEqual(["adamw_matrix"]);
    }, 60_000);
  });
});

async function bytesOf(tree: unknown): Promise<Uint8Array[]> {
  const bytes: Uint8Array[] = [];
  for (const x of tensorsIn(tree)) bytes.push(await x.bytes());
  return bytes;
}

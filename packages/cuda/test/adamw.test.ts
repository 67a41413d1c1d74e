import { adamw, type AdamWAttrs } from "@danu/optim";
import {
  assign, cast, disposeTree, fp8Columns, fp8Matrix, fp8Rows, mul, referenceDevice, scope, tensor, tensorsIn, writeFp8Rows,
  type Device, type DType, type Fp8Matrix, type Fp8Place, type Tensor,
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
  /** Rows of the matrix below the parameter's. */
  readonly after: number;
  readonly factor: number;
  readonly gradientScale: number | null;
  readonly copy: boolean;
  readonly seed: number;
}

const attrs: AdamWAttrs = { learningRate: 1e-2, beta1: 0.9, beta2: 0.95, eps: 1e-8, weightDecay: 0.1, step: 7 };

/** A matrix that holds something else, with a factor in force and a magnitude noted. */
function matrixOn(device: Device, { O, C, row, after, factor }: Sample): Fp8Matrix {
  const matrix = fp8Matrix(device, row + O + after, C);
  scope(() => {
    const values = [factor, 1 / factor, 0.5, 2, ...new Array<number>(fp8Columns.count - 4).fill(1)];
    assign(matrix.scaling, tensor(device, fp8Rows.flatMap(() => values), [fp8Rows.length, fp8Columns.count]));
    writeFp8Rows(matrix, upload(device, hostTensor("f32", [row + O + after, C], 99)), 0);
  });
  return matrix;
}

/** What a step leaves; the copy is absent where there is none. */
interface Result {
  readonly state: { readonly param: Tensor; readonly mean: Tensor; readonly variance: Tensor };
  readonly copy: Tensor | null;
  readonly matrix: Fp8Matrix;
}

function stepOn(device: Device, sample: Sample): Result {
  const { O, C, row, gradientScale, copy, seed } = sample;
  const make = (offset: number, dtype: DType = "f32"): Tensor => upload(device, hostTensor(dtype, [O, C], seed + offset));
  const [param, mean, roots] = [make(0), make(1), make(2)];
  const variance = mul(roots, roots);
  roots.dispose();
  const result = { state: { param, mean, variance }, copy: copy ? make(4, "bf16") : null, matrix: matrixOn(device, sample) };
  scope(() => {
    const scale = gradientScale === null ? null : tensor(device, [gradientScale], []);
    const fp8: Fp8Place = { matrix: result.matrix, row };
    adamw(param, make(3), mean, variance, scale, result.copy, attrs, fp8);
  });
  return result;
}

const samples = fc.record({
  O: fc.constantFrom(16, 48, 144), C: fc.constantFrom(16, 32, 272), row: fc.constantFrom(0, 16, 160), after: fc.constantFrom(0, 32),
  factor: fc.constantFrom(1, 37, 300), gradientScale: fc.constantFrom(null, 0.25, NaN, Infinity), copy: fc.boolean(), seed: fc.integer({ min: 0, max: 1e6 }),
});

describe.skipIf(twinMissing)(`AdamW with copies in fp8${twinMissing}`, () => {
  let standin: Standin;
  beforeAll(async () => {
    standin = await Standin.load(["adamw", "cast", "elementwise", "movement", "reduce"]);
  }, 600_000);

  describe.each(["8.0", "9.0"])("on a GPU of compute capability %s", (capability) => {
    let cuda: CudaDevice;
    onChip(() => standin, capability, (opened) => (cuda = opened));

    /** Asserts that parameter and moments are those of the reference device but for their last bits, that the copies are those of
     *  this parameter, bit for bit, and that a step repeats. @returns the kernels that were launched */
    async function expectRight(sample: Sample): Promise<string[]> {
      const [got, again, wanted] = [stepOn(cuda, sample), stepOn(cuda, sample), stepOn(referenceDevice(), sample)];
      for (const name of ["param", "mean", "variance"] as const) {
        expect(relativeError(await got.state[name].read(), await wanted.state[name].read()), name).toBeLessThan(3e-7);
      }
      const same = tensor(referenceDevice(), Array.from(await got.state.param.read()), [sample.O, sample.C]);
      const expected = scope(() => {
        const matrix = matrixOn(same.device, sample);
        writeFp8Rows(matrix, same, sample.row);
        return { copy: sample.copy ? cast(same, "bf16") : null, matrix };
      });
      expect(await bytesOf([got.copy, got.matrix])).toEqual(await bytesOf([expected.copy, expected.matrix]));
      expect(await bytesOf(again)).toEqual(await bytesOf(got));
      disposeTree([got, again, wanted, same, expected]);
      return standin.calls().flatMap((call) => /^cuLaunchKernel\b.*\b(adamw_\w+)/.exec(call)?.[1] ?? []);
    }

    test("parameters are updated and cast as the simpler ops do", async () => {
      await fc.assert(fc.asyncProperty(samples, async (sample) => {
        standin.clear();
        expect(await expectRight(sample)).toEqual(["adamw_matrix", "adamw_matrix"]);
      }), { numRuns: 12, seed: 8 });
    }, 300_000);

    test.each<Partial<Sample>>([{ C: 24 }, { O: 8 }, { row: 8 }, { after: 4 }])("without rows of 16 bytes the simpler ops serve: %j", async (odd) => {
      standin.clear();
      expect(await expectRight({ O: 16, C: 32, row: 16, after: 16, factor: 37, gradientScale: 0.25, copy: true, seed: 3, ...odd })).toEqual([]);
    }, 60_000);
  });
});

async function bytesOf(tree: unknown): Promise<Uint8Array[]> {
  const bytes: Uint8Array[] = [];
  for (const x of tensorsIn(tree)) bytes.push(await x.bytes());
  return bytes;
}

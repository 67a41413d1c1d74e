import {
  DeviceError, decode, dtypes, formatShape, primitives, referenceDevice, tensor, tensorFromBytes,
  type Device, type DType,
} from "@danu/tensor";
import * as allOfTensor from "@danu/tensor";
import fc from "fast-check";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";

import { times } from "../arbitraries.ts";
import { hostTensor, upload, type HostTensor } from "../host-tensor.ts";
import type { ConformanceCase, Sample } from "./case.ts";
import { checkGradients, checkOutputs } from "./check.ts";
import { fp8Cases } from "./fp8.ts";
import { fusedCases } from "./fused.ts";
import { generationCases } from "./generation.ts";
import { primitiveCases } from "./primitives.ts";
import { outputsOf } from "./run-case.ts";

/** Ops that a device is known not to run, or not rightly; they show as skipped tests. */
export interface Skip {
  readonly reason: string;
  /** Names of ops. */
  readonly ops: readonly string[];
  /** All element types when left out. */
  readonly dtypes?: readonly DType[];
}

export interface ConformanceOptions {
  readonly skip?: readonly Skip[];
  /** Cases of fused ops from other packages, in addition to all of @danu/tensor. */
  readonly cases?: readonly ConformanceCase[];
  /** Random calls per op and element type. */
  readonly runs?: number;
}

/** Declares the tests that make a device a device: every op of @danu/tensor against the reference device in double
 *  precision, over random shapes and adversarial values, with equal bits on every run and no memory left behind. */
export function conformance(
  name: string,
  makeDevice: () => Device | Promise<Device>,
  { skip = [], cases = [], runs = 20 }: ConformanceOptions = {},
): void {
  const all = [...primitiveCases, ...fusedCases, ...generationCases, ...fp8Cases, ...cases];
  describe(`conformance of ${name}`, () => {
    const oracle = referenceDevice({ precision: "f64" });
    let device: Device;
    let before: number;
    beforeAll(async () => { device = await makeDevice(); });
    // A device that could not be made has reported that already.
    afterAll(() => { device?.[Symbol.dispose](); });
    beforeEach(() => { before = device.liveBuffers; });
    afterEach(() => { expect(device.liveBuffers, "buffers left over").toBe(before); });

    test("every op of @danu/tensor has a case, and every skip names an op", () => {
      const tested = all.map(({ op }) => op);
      const ops = Object.values(allOfTensor).filter((value) => typeof value === "object" && "decompose" in value);
      expect(ops.length).toBeGreaterThanOrEqual(Object.keys(primitives).length);
      expect(ops.filter((op) => !tested.includes(op)).map((op) => op.name)).toEqual([]);
      expect(skip.flatMap((entry) => entry.ops).filter((op) => tested.every((known) => known.name !== op))).toEqual([]);
    });

    test.each(dtypes)("%s goes to the device and back", async (dtype) => {
      for (const shape of [[0], [], [3, 0, 2], [1], [257]]) {
        const x = hostTensor(dtype, shape, 7, "adversarial");
        using y = upload(device, x);
        using z = tensorFromBytes(device, await y.bytes(), shape, dtype);
        expect(Array.from(await z.read())).toEqual(Array.from(decode(dtype, device.encode(dtype, x.values))));
      }
    });

    for (const tests of all) {
      const skips = skip.filter((entry) => entry.ops.includes(tests.op.name));
      const property = (dtype: DType, check: typeof checkOutputs) => async (): Promise<void> => {
        const samples = tests.sample(dtype).map(printable);
        await fc.assert(fc.asyncProperty(samples, (sample) => check(device, oracle, tests, sample)), times(runs));
      };
      const declare = (title: string, dtype: DType | null, run: () => Promise<void>): void => {
        const skipped = skips.find((entry) => entry.dtypes?.some((type) => type === dtype) ?? true);
        test.skipIf(skipped)(skipped === undefined ? title : `${title}: ${skipped.reason}`, run);
      };
      describe(tests.op.name, () => {
        for (const dtype of tests.dtypes) {
          declare(dtype, dtype, property(dtype, checkOutputs));
          if (tests.gradient !== undefined) declare(`${dtype} gradient`, dtype, property(dtype, checkGradients));
        }
        const { failing } = tests;
        if (failing === undefined) return;
        declare("a failure surfaces at the next read, and only there", null, async () => {
          await expect(outputsOf(device, tests.op, failing())).rejects.toThrow(DeviceError);
          using healthy = tensor(device, [1]);
          expect(await healthy.item()).toBe(1);
        });
      });
    }
  });
}

/** A counterexample in one line. */
function printable(sample: Sample): Sample {
  const show = (x: HostTensor | null): string => {
    if (x === null) return "null";
    const values = x.values.length > 8 ? [...x.values.slice(0, 8), "…"] : x.values;
    return `${x.dtype} ${formatShape(x.shape)} {${values.join(", ")}}`;
  };
  const line = (): string => `x: ${sample.x.map(show).join(", ")}; attrs: ${JSON.stringify(sample.attrs)}`;
  return Object.assign(sample, { [fc.toStringMethod]: line });
}

import {
  DeviceError, decode, dtypes, primitives, referenceDevice, tensor, tensorFromBytes, type Device, type DType,
} from "@danu/tensor";
import * as allOfTensor from "@danu/tensor";
import fc from "fast-check";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";

import { times } from "../arbitraries.ts";
import { hostTensor, upload, type HostTensor } from "../host-tensor.ts";
import type { Bound, ConformanceCase, Sample } from "./case.ts";
import { expectWithin } from "./compare.ts";
import { fusedCases } from "./fused.ts";
import { primitiveCases } from "./primitives.ts";
import { absolutely, exactly, gradientsOf, isOp, outputsOf, type Output } from "./run-case.ts";

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
  name: string, makeDevice: () => Device | Promise<Device>, { skip = [], cases = [], runs = 20 }: ConformanceOptions = {},
): void {
  const all = [...primitiveCases, ...fusedCases, ...cases];
  describe(`conformance of ${name}`, () => {
    const oracle = referenceDevice({ precision: "f64" });
    let device: Device;
    let before: number;
    beforeAll(async () => { device = await makeDevice(); });
    afterAll(() => { device[Symbol.dispose](); });
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
      describe(tests.op.name, () => {
        for (const dtype of tests.dtypes) {
          const skipped = skip.find((entry) => entry.ops.includes(tests.op.name) && (entry.dtypes ?? dtypes).includes(dtype));
          test.skipIf(skipped)(skipped === undefined ? dtype : `${dtype}: ${skipped.reason}`, async () => {
            const samples = tests.sample(dtype).map(printable);
            await fc.assert(fc.asyncProperty(samples, (sample) => checkOutputs(device, oracle, tests, sample)), times(runs));
          });
          if (tests.gradient === undefined) continue;
          test.skipIf(skipped)(skipped === undefined ? `${dtype} gradient` : `${dtype} gradient: ${skipped.reason}`, async () => {
            const samples = tests.sample(dtype).map(printable);
            await fc.assert(fc.asyncProperty(samples, (sample) => checkGradients(device, oracle, tests, sample)), times(runs));
          });
        }
        const { failing } = tests;
        if (failing === undefined) return;
        const skipped = skip.find((entry) => entry.ops.includes(tests.op.name) && entry.dtypes === undefined);
        test.skipIf(skipped)("a failure surfaces at the next read, and only there", async () => {
          await expect(outputsOf(device, tests.op, failing())).rejects.toThrow(DeviceError);
          using healthy = tensor(device, [1]);
          expect(await healthy.item()).toBe(1);
        });
      });
    }
  });
}

async function checkOutputs(device: Device, oracle: Device, tests: ConformanceCase, sample: Sample): Promise<void> {
  const { op } = tests;
  const actual = await outputsOf(device, op, sample);
  const repeated = await outputsOf(device, op, sample);
  const expected = await outputsOf(oracle, op, exactly(sample));
  const bounds = boundsOf(tests.bound(sample), actual.length);
  const magnitudes = bounds.some(needsMagnitudes) ? await outputsOf(oracle, op, exactly(absolutely(sample))) : null;
  actual.forEach((output, i) => {
    const name = `${op.name} output ${i}`;
    expect(output.shape, `shape of ${name}`).toEqual(expected[i]!.shape);
    expect(Buffer.compare(output.bytes, repeated[i]!.bytes), `${name} has the same bits in a second run`).toBe(0);
    expectWithin(name, output.dtype, output.values, expected[i]!.values, bounds[i]!, magnitudes?.[i]!.values ?? null);
  });
  if (isOp(op)) expect(actual.map((y) => y.dtype), "dtypes").toEqual(inferredDtypes(device, tests, sample));
}

async function checkGradients(device: Device, oracle: Device, tests: ConformanceCase, sample: Sample): Promise<void> {
  const { op } = tests;
  if (!isOp(op)) throw new Error(`${op.name}: an op that writes in place has no gradient to test`);
  const actual = await gradientsOf(device, op, sample, "rule");
  const how = op.decompose === null ? "rule" : "decomposition";
  const expected = await gradientsOf(oracle, op, exactly(sample), how);
  const bounds = tests.gradient!(sample);
  const magnitudes = bounds.some(needsMagnitudes) ? await gradientsOf(oracle, op, exactly(absolutely(sample)), how, Math.abs) : null;
  actual.forEach((gradient, i) => {
    const exact: Output | null = expected[i]!;
    expect(gradient === null, `gradient ${i} is absent`).toBe(exact === null);
    if (gradient === null || exact === null) return;
    expect(gradient.shape, `shape of gradient ${i}`).toEqual(exact.shape);
    expectWithin(`${op.name} gradient ${i}`, gradient.dtype, gradient.values, exact.values, bounds[i]!, magnitudes?.[i]?.values ?? null);
  });
}

function inferredDtypes(device: Device, { op }: ConformanceCase, sample: Sample): DType[] {
  const x = sample.x.map((input) => (input === null ? null : upload(device, input)));
  try {
    return isOp(op) ? (op.infer(x, sample.attrs) as readonly { dtype: DType }[]).map((spec) => spec.dtype) : [];
  } finally {
    for (const input of x) input?.dispose();
  }
}

function boundsOf(bound: Bound | readonly Bound[], count: number): readonly Bound[] {
  return typeof bound === "object" && "length" in bound ? bound : Array.from({ length: count }, () => bound);
}

function needsMagnitudes(bound: Bound): boolean {
  return typeof bound === "object" && bound.sum !== undefined;
}

/** A counterexample in one line; its values follow from shapes and seed. */
function printable(sample: Sample): Sample {
  const show = (x: HostTensor | null): string => (x === null ? "null" : `${x.dtype} [${x.shape.join(", ")}] {${x.values.slice(0, 8).join(", ")}…}`);
  return Object.assign(sample, { [fc.toStringMethod]: () => `x: ${sample.x.map(show).join(", ")}; attrs: ${JSON.stringify(sample.attrs)}` });
}

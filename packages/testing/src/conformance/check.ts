import type { Device, DType } from "@danu/tensor";
import { expect } from "vitest";

import { upload } from "../host-tensor.ts";
import type { Bound, ConformanceCase, Sample } from "./case.ts";
import { expectWithin } from "./compare.ts";
import { absolutely, exactly, gradientsOf, isOp, outputsOf, type Output } from "./run-case.ts";

/** Compares the outputs of one call with those of the oracle, and with those of a second run.
 *  @throws Error with the worst element */
export async function checkOutputs(
  device: Device,
  oracle: Device,
  tests: ConformanceCase,
  sample: Sample
): Promise<void> {
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
  if (isOp(op))
    expect(
      actual.map((y) => y.dtype),
      "dtypes"
    ).toEqual(inferredDtypes(device, tests, sample));
}

/** Compares the gradients by the op's own rule with those that the oracle's tape gives for its decomposition.
 *  @throws Error with the worst element */
export async function checkGradients(
  device: Device,
  oracle: Device,
  tests: ConformanceCase,
  sample: Sample
): Promise<void> {
  const { op } = tests;
  if (!isOp(op)) throw new Error(`${op.name}: an op that writes in place has no gradient to test`);
  const actual = await gradientsOf(device, op, sample, "rule");
  const how = op.decompose === null ? "rule" : "decomposition";
  const expected = await gradientsOf(oracle, op, exactly(sample), how);
  const bounds = tests.gradient!(sample);
  const magnitudes = bounds.some(needsMagnitudes)
    ? await gradientsOf(oracle, op, exactly(absolutely(sample)), how, Math.abs)
    : null;
  actual.forEach((gradient, i) => {
    const exact: Output | null = expected[i]!;
    expect(gradient === null, `gradient ${i} is absent`).toBe(exact === null);
    if (gradient === null || exact === null) return;
    expect(gradient.shape, `shape of gradient ${i}`).toEqual(exact.shape);
    expectWithin(
      `${op.name} gradient ${i}`,
      gradient.dtype,
      gradient.values,
      exact.values,
      bounds[i]!,
      magnitudes?.[i]?.values ?? null
    );
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

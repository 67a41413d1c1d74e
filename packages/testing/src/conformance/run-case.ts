import {
  disposeTree,
  isFloat,
  pullback,
  run,
  runUpdate,
  scope,
  tensor,
  type AnyOp,
  type AnyUpdate,
  type Device,
  type DType,
  type Inputs,
  type Shape,
  type Tensor,
  type Values,
} from "@danu/tensor";

import { hostTensor, upload, type HostTensor } from "../host-tensor.ts";
import type { Sample } from "./case.ts";

/** An output that has been read back. */
export interface Output {
  readonly shape: Shape;
  readonly dtype: DType;
  readonly bytes: Uint8Array;
  readonly values: Values;
}

/** True for ops that return tensors, false for those that write in place. */
export function isOp(op: AnyOp | AnyUpdate): op is AnyOp {
  return "infer" in op;
}

/** Runs an op on a device and reads its outputs; that of an in-place op is its first tensor. */
export async function outputsOf(device: Device, op: AnyOp | AnyUpdate, sample: Sample): Promise<Output[]> {
  return readAll(
    device,
    scope(() => {
      const x = uploadAll(device, sample.x);
      if (isOp(op)) return run(op, x, sample.attrs) as readonly Tensor[];
      runUpdate(op, x, sample.attrs);
      return [x[0]!];
    })
  );
}

/** Gradients of the inputs from a fixed random gradient of the first output; null where there is none.
 *  @param how `rule`: the op's own gradient; `decomposition`: the tape's gradient of its decomposition
 *  @param g what to make of the random numbers */
export async function gradientsOf(
  device: Device,
  op: AnyOp,
  sample: Sample,
  how: "rule" | "decomposition",
  g: (value: number) => number = (value) => value
): Promise<(Output | null)[]> {
  const f = (...x: Tensor[]): readonly Tensor[] => {
    let next = 0;
    const inputs = sample.x.map((input) => (input === null ? null : x[next++]!));
    return how === "rule" ? run(op, inputs, sample.attrs) : op.decompose!(inputs, sample.attrs);
  };
  const gradients = scope(() => {
    const x = uploadAll(device, sample.x);
    const { y, pull } = pullback(
      f,
      x.filter((input) => input !== null)
    );
    const [first] = y as readonly [Tensor];
    // Values of the coarsest type are the same in every dtype, so that device and oracle start from one gradient.
    const values = hostTensor("f8e4m3", first.shape, 99).values.map(g);
    return pull([tensor(device, values, first.shape, first.dtype), ...y.slice(1).map(() => null)]);
  });
  const present = await readAll(
    device,
    gradients.filter((gradient) => gradient !== null)
  );
  let next = 0;
  let argument = 0;
  return sample.x.map((input) => (input === null || gradients[argument++] === null ? null : present[next++]!));
}

/** The same call for an oracle: every float in double precision, from the same values. */
export function exactly(sample: Sample): Sample {
  const widen = (x: HostTensor | null, i: number): HostTensor | null =>
    x !== null && isFloat(x.dtype) && sample.fixed?.includes(i) !== true ? { ...x, dtype: "f32" } : x;
  return { ...sample, x: sample.x.map(widen), attrs: sample.exactAttrs ?? sample.attrs };
}

/** The same call with the absolute values of all floats. */
export function absolutely(sample: Sample): Sample {
  const positive = (x: HostTensor | null): HostTensor | null =>
    x !== null && isFloat(x.dtype) ? { ...x, values: x.values.map(Math.abs) } : x;
  return { ...sample, x: sample.x.map(positive) };
}

function uploadAll(device: Device, x: Sample["x"]): Inputs {
  return x.map((input) => (input === null ? null : upload(device, input)));
}

async function readAll(device: Device, tensors: readonly Tensor[]): Promise<Output[]> {
  try {
    const outputs: Output[] = [];
    for (const y of tensors) {
      const bytes = await y.bytes();
      outputs.push({ shape: y.shape, dtype: y.dtype, bytes, values: device.decode(y.dtype, bytes) });
    }
    return outputs;
  } finally {
    disposeTree(tensors);
  }
}

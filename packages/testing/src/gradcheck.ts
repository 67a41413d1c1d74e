import {
  disposeTree, formatShape, isFloat, mul, pullback, referenceDevice, scope, sum, type Tensor,
} from "@danu/tensor";

import { expectClose, type Closeness } from "./expect-close.ts";
import { hostTensor, upload, type HostTensor } from "./host-tensor.ts";

/** Step and tolerance of a gradient check. */
export interface GradcheckOptions extends Closeness {
  /** Half the distance of the two evaluations, relative to 1 + |x|. */
  readonly step?: number;
}

/** Compares the tape's gradient of every float input with central differences, in double precision.
 *
 *  The result of `f` is weighted with fixed random numbers first, so that every element of it counts differently.
 *  @param f made of ops; must be smooth within a step around the inputs
 *  @param inputs f32 or integers  @throws Error that names the input, element and both derivatives */
export async function gradcheck(
  f: (...x: Tensor[]) => Tensor, inputs: readonly HostTensor[],
  { step = 1e-5, rtol = 1e-6, atol = 1e-8 }: GradcheckOptions = {},
): Promise<void> {
  using device = referenceDevice({ precision: "f64" });
  const weighted = (...x: Tensor[]): Tensor => {
    const y = f(...x);
    return sum(mul(y, upload(device, hostTensor("f32", y.shape, 12345))));
  };
  const at = async (values: readonly HostTensor[]): Promise<number> => {
    const y = scope(() => weighted(...values.map((x) => upload(device, x))));
    const value = await y.item();
    y.dispose();
    return value;
  };
  const gradients = scope(() => {
    const x = inputs.map((input) => upload(device, input));
    const { y, pull } = pullback((...u) => [weighted(...u)] as const, x);
    return pull([upload(device, { shape: y[0].shape, dtype: "f32", values: [1] })]);
  });
  for (const [i, input] of inputs.entries()) {
    if (!isFloat(input.dtype)) continue;
    const expected: number[] = [];
    for (const [j, value] of input.values.entries()) {
      const h = step * (1 + Math.abs(value));
      const moved = (by: number): HostTensor[] => (
        inputs.with(i, { ...input, values: input.values.with(j, value + by) })
      );
      expected.push((await at(moved(h)) - await at(moved(-h))) / (2 * h));
    }
    const gradient = gradients[i] ?? null;
    const actual = gradient === null ? expected.map(() => 0) : await gradient.read();
    try {
      expectClose(actual, expected, { rtol, atol });
    } catch (error) {
      const { message } = error as Error;
      throw new Error(`gradient of input ${i} ${formatShape(input.shape)}: ${message}`, { cause: error });
    }
  }
  disposeTree(gradients.filter((gradient) => gradient !== null));
  if (device.liveBuffers !== 0) throw new Error(`gradcheck: ${device.liveBuffers} buffers were left over`);
}

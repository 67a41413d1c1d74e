import { full, keep, scope, tensor, type Tensor } from "@danu/tensor";
import { hostTensor, upload } from "@danu/testing";
import { beforeAll, describe, expect, test } from "vitest";

import type { CudaDevice } from "../src/index.ts";
import { quantise } from "../src/kernels/fp8/fp8-cast.ts";
import { normBackward } from "../src/kernels/fused/rms-norm.ts";
import { twinMissing } from "./cuda-home.ts";
import { Standin } from "./standin/control.ts";
import { onChip } from "./standin/on-chip.ts";

/** A norm, and which copies of the gradient of its input are wanted. */
interface Sample {
  readonly rows: number;
  readonly columns: number;
  readonly rowwise: boolean;
  readonly transposed: boolean;
}

/** dx, its copies and largest magnitude, and the gradient of the weight. */
type Outcome = readonly [dx: Uint8Array, rowwise: Uint8Array, transposed: Uint8Array, amax: Uint8Array, dWeight: Uint8Array];

/** The gradients of a norm and the copies of dx, made `together` or by a norm and a cast. */
async function gradientsOf(cuda: CudaDevice, { rows, columns, ...wanted }: Sample, together: boolean): Promise<Outcome> {
  const results = scope(() => {
    const draw = (seed: number, ...shape: number[]): Tensor => upload(cuda, hostTensor("bf16", shape, seed));
    const [x, weight, dy, residual] = [draw(1, rows, columns), draw(2, columns), draw(3, rows, columns), draw(4, rows, columns)];
    const [rstd, scale] = [full(cuda, [rows], 0.75), tensor(cuda, [100], [])];
    const stride = Math.ceil(rows / 16) * 16;
    const [dx, rowwise, transposed] = [full(cuda, [rows, columns], 7, "bf16"), full(cuda, [rows, columns], 7, "f8e5m2"), full(cuda, [columns, stride], 7, "f8e5m2")];
    const [amax, dWeight] = [tensor(cuda, [0], []), full(cuda, [columns], 7)];
    const inputs = { x: x.handle, weight: weight.handle, rstd: rstd.handle, rows, columns, dy: dy.handle, residual: residual.handle };
    const copies = { rowwise: wanted.rowwise ? rowwise.handle : 0, transposed: wanted.transposed ? transposed.handle : 0 };
    const factor = { scale: scale.handle, amax: amax.handle };
    normBackward(cuda, { ...inputs, dx: dx.handle, dWeight: dWeight.handle }, together ? { ...copies, ...factor } : undefined);
    if (!together) quantise(cuda, "gradient", { x: dx.handle, rows, columns }, copies, factor);
    return keep([dx, rowwise, transposed, amax, dWeight] as const);
  });
  const bytes = [];
  for (const one of results) {
    bytes.push(await one.bytes());
    one.dispose();
  }
  return bytes as unknown as Outcome;
}

const narrow = { rows: 8165, columns: 136, rowwise: true, transposed: true };

describe.skipIf(twinMissing)(`gradients of norms with fp8 copies${twinMissing}`, () => {
  let standin: Standin;
  beforeAll(async () => {
    standin = await Standin.load(["cast", "elementwise", "norm", "norm-fp8", "quantise"]);
  }, 600_000);

  /** The kernels that were launched since the last `clear`. */
  const launched = (): string[] => standin.calls().flatMap((call) => /^cuLaunchKernel\b.*\b((?:rms_norm_backward|quantise)\w*)/.exec(call)?.[1] ?? []);

  describe("on Hopper", () => {
    let cuda: CudaDevice;
    onChip(() => standin, "9.0", (opened) => (cuda = opened));

    test.each<[sample: Sample, kernels: readonly string[]]>([
      [narrow, ["rms_norm_backward_fp8"]],
      [{ ...narrow, rowwise: false }, ["rms_norm_backward_fp8"]],
      [{ ...narrow, transposed: false }, ["rms_norm_backward_fp8"]],
      [{ ...narrow, rows: 150 }, ["rms_norm_backward", "quantise_e5m2"]],
      [{ ...narrow, rows: 5, columns: 3080 }, ["rms_norm_backward_wide", "quantise_e5m2"]],
    ])("%j: those of norm and cast", async (sample, kernels) => {
      standin.clear();
      const got = await gradientsOf(cuda, sample, true);
      expect(launched()).toEqual(kernels);
      const expected = await gradientsOf(cuda, sample, false);
      // Comparing so many numbers one by one would take minutes.
      for (const [i, name] of ["dx", "rowwise", "transposed", "amax", "dWeight"].entries()) expect(Buffer.compare(got[i]!, expected[i]!), name).toBe(0);
    }, 60_000);
  });

  describe.each(["8.0", "8.9", "9.0"])("on a GPU of compute capability %s", (capability) => {
    let cuda: CudaDevice;
    onChip(() => standin, capability, (opened) => (cuda = opened));

    // A launch that fails says which kernel it was for, without minutes of work on the CPU.
    test.each<[rows: number, columns: number, transposed: boolean, kernels: Readonly<Record<string, string>>]>([
      [8160, 2560, true, { "8.0": "rms_norm_backward", "8.9": "rms_norm_backward", "9.0": "rms_norm_backward" }],
      [8161, 2560, true, { "8.0": "rms_norm_backward_fp8", "8.9": "rms_norm_backward_fp8", "9.0": "rms_norm_backward_fp8" }],
      [16_384, 3072, true, { "8.0": "rms_norm_backward_fp8_wide", "8.9": "rms_norm_backward_fp8_wide", "9.0": "rms_norm_backward_fp8_wide" }],
      [16_384, 3840, true, { "8.0": "rms_norm_backward_fp8_wide", "8.9": "rms_norm_backward_wide", "9.0": "rms_norm_backward_fp8_wide" }],
      [16_384, 7168, true, { "8.0": "rms_norm_backward_wide", "8.9": "rms_norm_backward_wide", "9.0": "rms_norm_backward_fp8_wide" }],
      [16_384, 8192, true, { "8.0": "rms_norm_backward_wide", "8.9": "rms_norm_backward_wide", "9.0": "rms_norm_backward_wide" }],
      [16_384, 8192, false, { "8.0": "rms_norm_backward_fp8_wide", "8.9": "rms_norm_backward_fp8_wide", "9.0": "rms_norm_backward_fp8_wide" }],
    ])("%d × %d, transposed %s: by a kernel that fits", (rows, columns, transposed, kernels) => {
      standin.clear();
      standin.fail("cuLaunchKernel", 1);
      const nowhere = { x: 256, weight: 256, rstd: 256, dy: 256, residual: 0, dx: 256, dWeight: 256 };
      expect(() => normBackward(cuda, { ...nowhere, rows, columns }, { rowwise: 0, transposed: transposed ? 256 : 0, scale: 256, amax: 256 })).toThrow("rms_norm_backward");
      expect(launched()).toEqual([kernels[capability]]);
    });
  });
});

import { fileURLToPath } from "node:url";

import { openSafetensors } from "@danu/model";
import { decode, disposeTree, pullback, scope, tensor, type Tensor } from "@danu/tensor";
import { goldenJson, goldenPath, relativeError } from "@danu/testing";
import { describe, expect, test } from "vitest";

import { attention } from "../src/index.ts";
import { deviceNames, devices } from "./devices.ts";

interface GoldenCase {
  readonly slidingWindow: number | null;
  readonly queryOffset: number;
  readonly documentStarts: readonly number[] | null;
  /** What float32 costs PyTorch, by name of the result. */
  readonly torchFloat32RelativeError: Readonly<Record<"output" | "q_gradient" | "k_gradient" | "v_gradient", number>>;
}

const { cases } = goldenJson("attention/attention.json") as { readonly cases: Readonly<Record<string, GoldenCase>> };

describe.each(deviceNames)("attention on %s, against PyTorch in float64", (deviceName) => {
  test.each(Object.keys(cases))("%s: output and gradients", async (name) => {
    const { slidingWindow, queryOffset, documentStarts, torchFloat32RelativeError } = cases[name]!;
    await using file = await openSafetensors(fileURLToPath(goldenPath("attention/attention.safetensors")));
    using device = devices[deviceName]();
    const numbers = async (key: string): Promise<ArrayLike<number>> => decode("f32", await file.read(`${name}.${key}`));
    const load = async (key: string): Promise<Tensor> =>
      tensor(device, await numbers(key), file.info(`${name}.${key}`).shape);
    const [q, k, v, g] = [await load("q"), await load("k"), await load("v"), await load("output_gradient")];
    const [B, S] = k.shape as [number, number];
    expect(S - q.shape[1]!).toBe(queryOffset);
    const documentStart =
      documentStarts === null
        ? null
        : tensor(device, Array.from({ length: B }, () => documentStarts).flat(), [B, S], "i32");

    const results = scope(() => {
      const f = (...x: Tensor[]): readonly [Tensor] => [
        attention(x[0]!, x[1]!, x[2]!, { slidingWindow, documentStart }),
      ];
      const { y, pull } = pullback(f, [q, k, v]);
      const [dq, dk, dv] = pull([g]);
      return { output: y[0], q_gradient: dq!, k_gradient: dk!, v_gradient: dv! };
    });
    for (const key of ["output", "q_gradient", "k_gradient", "v_gradient"] as const) {
      const truth = await numbers(key);
      // A query that sees one key has gradient 0, of which rounding leaves a little beside terms of size 1.
      const rounding = Array.from(truth).every((value) => value === 0) ? 5e-5 : 3e-6;
      const tolerance = Math.max(rounding, 8 * torchFloat32RelativeError[key]);
      expect(relativeError(await results[key].read(), truth), key).toBeLessThan(tolerance);
    }
    disposeTree([results, q, k, v, g]);
    documentStart?.dispose();
    expect(device.liveBuffers).toBe(0);
  });
});

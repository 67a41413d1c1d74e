import { attentionGradOp, attentionOp, type AttentionAttrs } from "@danu/attention";
import { disposeTree, referenceDevice, run, scope, type Device } from "@danu/tensor";
import { hostIntegers, hostTensor, seeds, times, upload, type HostTensor } from "@danu/testing";
import fc from "fast-check";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";

import type { CudaDevice } from "../src/device.ts";
import { cudaDevice } from "../src/index.ts";
import { twinMissing } from "./cuda-home.ts";
import { Standin } from "./standin/control.ts";

const files = [
  "attention-forward", "attention-backward", "attention-portable-forward", "attention-portable-backward", "attention-portable-decode",
];

interface Call {
  readonly x: readonly [q: HostTensor, k: HostTensor, v: HostTensor, documentStart: HostTensor | null];
  readonly g: HostTensor;
  readonly attrs: AttentionAttrs;
}

interface Sizes {
  readonly dtype: "bf16" | "f16";
  readonly B: number;
  readonly T: number;
  /** Keys before the queries, and room after them. */
  readonly earlier: number;
  readonly spare: number;
  readonly G: number;
  readonly group: number;
  readonly D: number;
  readonly slidingWindow: number | null;
  readonly documents: boolean;
  readonly seed: number;
}

const sizes: fc.Arbitrary<Sizes> = fc.record({
  dtype: fc.constantFrom("bf16", "bf16", "f16"),
  B: fc.constantFrom(1, 2),
  T: fc.constantFrom(1, 2, 16, 17, 64, 128, 130, 200, 260),
  earlier: fc.constantFrom(0, 0, 0, 1, 70),
  spare: fc.constantFrom(0, 0, 0, 5),
  G: fc.constantFrom(1, 2),
  group: fc.constantFrom(1, 2, 3),
  D: fc.constantFrom(8, 40, 64, 80, 96, 104, 120, 128),
  slidingWindow: fc.constantFrom(null, 1, 50, 1000),
  documents: fc.boolean(),
  seed: seeds,
});

/** Scores that a call may have, so that plain loops are done with it soon. */
const mostScores = 60_000;

function callOf({ dtype, B: texts, T, earlier, spare, G, group: heads, D, slidingWindow, documents, seed }: Sizes): Call {
  const S = earlier + T + spare;
  const fits = (times: number): boolean => times * G * T * S <= mostScores;
  const group = fits(heads) ? heads : 1;
  const B = fits(texts * group) ? texts : 1;
  const starts = hostIntegers("i32", [B, S], seed + 3, 30).values.reduce<number[]>((all, draw, i) => {
    all.push(i % S === 0 ? 0 : draw === 0 ? i % S : all[i - 1]!);
    return all;
  }, []);
  return {
    x: [
      hostTensor(dtype, [B, T, G * group, D], seed), hostTensor(dtype, [B, S, G, D], seed + 1), hostTensor(dtype, [B, S, G, D], seed + 2),
      documents ? { shape: [B, S], dtype: "i32", values: starts } : null,
    ],
    g: hostTensor(dtype, [B, T, G * group, D], seed + 4),
    attrs: { scale: 1 / Math.sqrt(D), slidingWindow, keyLength: spare === 0 ? null : earlier + T },
  };
}

/** Output, log-sum-exp and the gradients of q, k and v. */
async function results(device: Device, { x, g, attrs }: Call): Promise<Float64Array[]> {
  const tensors = scope(() => {
    const [q, k, v, documentStart] = x.map((input) => (input === null ? null : upload(device, input)));
    const [o, lse] = run(attentionOp, [q!, k!, v!, documentStart!], attrs);
    return [o, lse, ...run(attentionGradOp, [upload(device, g), q!, k!, v!, o, lse, documentStart!], attrs)];
  });
  const values = await Promise.all(tensors.map((tensor) => tensor.read()));
  disposeTree(tensors);
  return values.map((list) => Float64Array.from(list));
}

/** The same call in double precision, from the same values. */
function exactly({ x, g, attrs }: Call): Call {
  const [q, k, v, documentStart] = x;
  const wide = (input: HostTensor): HostTensor => ({ ...input, dtype: "f32" });
  return { x: [wide(q), wide(k), wide(v), documentStart], g: wide(g), attrs };
}

function joined(lists: readonly Float64Array[]): Float64Array {
  return Float64Array.from(lists.flatMap((list) => Array.from(list)));
}

/** Length of the difference over that of the exact values, which count as 0.01 each at least: gradients may vanish. */
function relativeDistance(got: Float64Array, exact: Float64Array): number {
  let [difference, size] = [0, 1e-4 * exact.length];
  exact.forEach((value, i) => {
    difference += (got[i]! - value) ** 2;
    size += value ** 2;
  });
  return Math.sqrt(difference / size);
}

// As far apart as two lists of equal length whose angle has a cosine of 1 − 1e-5.
const mostDistance = Math.sqrt(2e-5);

describe.skipIf(twinMissing)(`attention on a GPU's stand-in${twinMissing}`, () => {
  const oracle = referenceDevice({ precision: "f64" });
  let standin: Standin;
  beforeAll(async () => {
    standin = await Standin.load(files);
  }, 600_000);
  afterAll(() => oracle[Symbol.dispose]());

  function open(capability: string): CudaDevice {
    standin.reset();
    standin.setChip({ capability });
    return cudaDevice({ driver: standin.library, kernels: standin.folder });
  }

  describe.each(["8.0", "9.0"])("of compute capability %s", (capability) => {
    let device: CudaDevice;
    beforeEach(() => {
      device = open(capability);
    });
    afterEach(() => {
      expect(device.liveBuffers).toBe(0);
      device[Symbol.dispose]();
      expect(standin.reports()).toEqual([]);
      expect(standin.live()).toEqual({});
    });

    test("results and gradients are those of double precision, and the same bits again", { timeout: 600_000 }, async () => {
      await fc.assert(
        fc.asyncProperty(sizes, async (size) => {
          const call = callOf(size);
          const got = await results(device, call);
          const exact = await results(oracle, exactly(call));
          expect(relativeDistance(got[0]!, exact[0]!), "output").toBeLessThan(mostDistance);
          // Taken together, since there may be but one query.
          expect(relativeDistance(joined(got.slice(2)), joined(exact.slice(2))), "gradients").toBeLessThan(mostDistance);
          got[1]!.forEach((value, i) => expect(value).toBeCloseTo(exact[1]![i]!, 4));
          expect(await results(device, call)).toEqual(got);
        }),
        times(12),
      );
    });

    test("the kernels are those that were made for the case", async () => {
      const kernelsOf = async (size: Partial<Sizes>): Promise<string[]> => {
        const plain = { dtype: "bf16", B: 1, T: 128, earlier: 0, spare: 0, G: 1, group: 2, D: 80, slidingWindow: null, documents: false, seed: 1 } as const;
        standin.clear();
        await results(device, callOf({ ...plain, ...size }));
        return standin.calls().flatMap((call) => /^cuLaunchKernel.*?(attention_\w+)/.exec(call)?.[1] ?? []);
      };
      const portable = (forward: string[], name: string): string[] => [
        ...forward, `attention_portable_backward_statistics_${name.split("_")[0]}`, `attention_portable_backward_keys_${name}`,
        `attention_portable_backward_queries_${name}`,
      ];
      expect(await kernelsOf({ T: 16 })).toEqual(portable(["attention_portable_decode_bf16_80"], "bf16_80"));
      for (const size of [{ D: 72 }, { earlier: 3 }, { spare: 3 }, { T: 17 }]) {
        expect(await kernelsOf(size)).toEqual(portable(["attention_portable_forward_bf16_80"], "bf16_80"));
      }
      expect(await kernelsOf({ dtype: "f16", D: 120 })).toEqual(portable(["attention_portable_forward_f16_128"], "f16_128"));
      expect(await kernelsOf({})).toEqual(
        capability === "9.0"
          ? ["attention_forward_short_80", "attention_backward_statistics_80", "attention_backward_keys_80", "attention_backward_queries_80"]
          : portable(["attention_portable_forward_bf16_80"], "bf16_80"));
    });

    test("other types and head dimensions are left to the decomposition", () => {
      scope(() => {
        const accepted = (dtype: "f32" | "bf16", D: number, scale: number): boolean => {
          const x = upload(device, hostTensor(dtype, [1, 2, 1, D], 1));
          return device.kernelOf(attentionOp, [x, x, x, null], { scale, slidingWindow: null, keyLength: null }) !== undefined;
        };
        expect(accepted("bf16", 128, 1)).toBe(true);
        expect([accepted("f32", 128, 1), accepted("bf16", 136, 1), accepted("bf16", 20, 1), accepted("bf16", 128, 0), accepted("bf16", 128, -1)])
          .toEqual([false, false, false, false, false]);
      });
    });
  });
});

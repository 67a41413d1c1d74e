import { queryKeyValue, queryKeyValueOp, ropeTable } from "@danu/attention";
import {
  adapt, Decoder, defaultLora, generateBatch, initialize, initializeLora, TextSession,
  type DecoderConfig, type DecoderParameters, type GenerateOptions, type LoraConfig, type LoraParameters,
} from "@danu/model";
import { cast, concat, disposeTree, keep, linear, mapTree, mul, normSwiglu, normSwigluOp, scope, slice, tensor, type DType, type Tensor } from "@danu/tensor";
import { hostTensor, upload } from "@danu/testing";
import { beforeAll, beforeEach, describe, expect, test } from "vitest";

import type { CudaDevice } from "../src/index.ts";
import { twinMissing } from "./cuda-home.ts";
import { Standin } from "./standin/control.ts";
import { launchesIn } from "./standin/launches.ts";
import { openOn } from "./standin/on-chip.ts";

const config: DecoderConfig = {
  hiddenSize: 64, intermediateSize: 72, layers: 2, heads: 4, keyValueHeads: 2, headDim: 16, vocabularySize: 61, maxPositions: 300, slidingWindow: null,
  ropeTheta: 10_000, rmsNormEps: 1e-5, tieEmbeddings: true, initializerRange: 0.3, bosId: null, eosId: null, padId: null, dtype: "bf16",
};

describe.skipIf(twinMissing)(`generation on a stand-in for the driver${twinMissing}`, () => {
  let standin: Standin;
  beforeAll(async () => {
    standin = await Standin.load([
      "attention-portable-decode", "attention-portable-forward", "cast", "chain", "choose-next", "elementwise", "embedding", "few-rows", "matmul", "movement", "norm", "norm-rows", "reduce", "rope",
      "swiglu",
    ]);
  }, 900_000);
  beforeEach(() => standin.reset());
  const launched = (): string[] => launchesIn(standin.calls());

  function open(capability = "9.0"): CudaDevice {
    standin.setChip({ capability });
    return openOn(standin);
  }

  describe.each(["8.0", "8.9", "9.0"])("of compute capability %s", (capability) => {
    test.each([["bf16", 64], ["bf16", 2568], ["f16", 520]] as const)("a row of %s has the bits alone that it has among 16, C = %i", async (dtype, C) => {
      using device = open(capability);
      const D = 16;
      const some = (seed: number, ...shape: number[]): Tensor => keep(upload(device, hostTensor(dtype, shape, seed)));
      const [x, norm, query, key, up] = [some(1, 1, 16, C), some(2, C), some(3, 3 * D, C), some(4, D, C), some(5, 3 * D, C)];
      const table = keep(ropeTable(device, { positions: 40, headDim: D, theta: 10_000 }));
      const positions = keep(tensor(device, Array.from({ length: 16 }, (_, i) => 2 * i + 1), [1, 16], "i32"));
      const results = (rows: Tensor, at: Tensor): Tensor[] => (
        [linear(rows, query), normSwiglu(rows, norm, query, up), ...queryKeyValue(rows, norm, { query, key, value: key }, table, at)]
      );
      const together = scope(() => results(x, positions));
      const alone = scope(() => {
        const rows = Array.from({ length: 16 }, (_, row) => results(slice(x, 1, row, row + 1), slice(positions, 1, row, row + 1)));
        return together.map((_, i) => concat(rows.map((of) => of[i]!), 1));
      });
      expect(launched().filter((kernel) => /matmul|norm|rope/.test(kernel))).toEqual([]);
      for (const [i, y] of together.entries()) expect(await alone[i]!.bytes()).toEqual(await y.bytes());
      disposeTree([x, norm, query, key, up, table, positions, together, alone]);
      expect(device.liveBuffers).toBe(0);
    });
  });

  test("other types, sizes and numbers of rows are left to the decomposition", () => {
    using device = open();
    scope(() => {
      const accepted = (dtype: DType, rows: number, C: number): boolean[] => {
        const some = (...shape: number[]): Tensor => upload(device, hostTensor(dtype, shape, 1));
        const [x, norm, weight] = [some(1, rows, C), some(C), some(16, C)];
        const [table, positions] = [ropeTable(device, { positions: 8, headDim: 16, theta: 1e4 }), tensor(device, Array.from({ length: rows }, () => 0), [1, rows], "i32")];
        return [
          device.kernelOf(normSwigluOp, [x, norm, weight, weight], { eps: 1e-5 }) !== undefined,
          device.kernelOf(queryKeyValueOp, [x, norm, weight, weight, weight, table, positions], { eps: 1e-5 }) !== undefined,
        ];
      };
      expect([accepted("bf16", 1, 8), accepted("f16", 16, 64)].flat()).toEqual([true, true, true, true]);
      expect([accepted("f32", 1, 8), accepted("bf16", 17, 8), accepted("bf16", 0, 8), accepted("bf16", 1, 12)].flat()).not.toContain(true);
    });
  });

  /** Weights in bf16. */
  function weightsOn(device: CudaDevice): DecoderParameters {
    const fresh = initialize(device, config, 7);
    const rounded = mapTree(fresh, (p) => keep(scope(() => cast(mul(p, 1), "bf16"))));
    disposeTree(fresh);
    return rounded as DecoderParameters;
  }

  test.each(["8.0", "9.0"])("a token is five launches a layer on %s, on Hopper one for all layers", async (capability) => {
    using device = open(capability);
    using decoder = new Decoder(device, config);
    const params = weightsOn(device);
    {
      using session = new TextSession(decoder, params);
      const text = session.generate([1, 2, 3], { maxTokens: 3 });
      await text.next();
      standin.clear();
      await text.next();
    }
    const layer = [
      "few_rows_query_key_value_bf16", "attention_portable_decode_bf16_64", "few_rows_linear_bf16", "few_rows_swiglu_bf16", "few_rows_linear_bf16",
    ];
    const layers = capability === "9.0" ? ["together chain_bf16_64"] : [...layer, ...layer];
    expect(launched()).toEqual(["embedding_rows", ...layers, "rms_norm_forward", "few_rows_linear_bf16", "cast_to_f32"]);
    disposeTree(params);
  });

  test("layers with an adapter take the kernels of their parts, others those of a whole", async () => {
    using device = open();
    using decoder = new Decoder(device, config);
    const params = weightsOn(device);
    const lora: LoraConfig = { ...defaultLora, rank: 8, targets: ["value"] };
    const adapter = await initializeLora(device, config, lora, params, 5);
    const narrow = scope(() => keep(mapTree(adapter, (x) => cast(x, "bf16")))) as LoraParameters;
    const added = async (): Promise<number[]> => {
      using session = new TextSession(decoder, adapt(params, narrow, lora));
      const ids: number[] = [];
      for await (const id of session.generate([1, 2, 3], { maxTokens: 5, temperature: 0 })) ids.push(id);
      return ids;
    };
    const repeated = await added();
    expect(new Set(launched())).toContain("early few_rows_swiglu_bf16");
    expect(launched().join()).not.toContain("query_key_value");
    Object.assign(device, { repeat: () => null });
    expect(await added()).toEqual(repeated);
    disposeTree([params, adapter, narrow]);
  });

  test("a kernel whose weights the one before writes does not start early", async () => {
    using device = open();
    const some = (seed: number, ...shape: number[]): Tensor => keep(upload(device, hostTensor("bf16", shape, seed)));
    const [x, a, b] = [some(1, 8, 64), some(2, 16, 64), some(3, 16, 16)];
    const run = (f: () => Tensor): string[] => {
      standin.clear();
      scope(f);
      return launched();
    };
    expect(run(() => linear(linear(x, a), b))).toEqual(["few_rows_linear_bf16", "early few_rows_linear_bf16"]);
    // The second reads as weights what the first makes: [8, 16] of it.
    expect(run(() => linear(b, linear(x, a)))).toEqual(["early few_rows_linear_bf16", "few_rows_linear_bf16"]);
    // Nor after anything that does not say what it writes.
    expect(run(() => linear(b, slice(linear(x, a), 0, 4, 8))).at(-1)).toBe("few_rows_linear_bf16");
    device.write(x.handle, device.encode("bf16", [1]));
    expect(run(() => linear(x, a))).toEqual(["few_rows_linear_bf16"]);
    disposeTree([x, a, b]);
  });

  test("best tokens that the device chooses ahead of the host are those of one step at a time, wherever a text ends", async () => {
    /** Turns of one session that end in every way: by a stop id, by a number, by the host, by a signal. */
    const turns = async (repeats: boolean): Promise<number[][]> => {
      using device = open();
      if (!repeats) Object.assign(device, { repeat: () => null });
      using decoder = new Decoder(device, config);
      const params = weightsOn(device);
      const all: number[][] = [];
      {
        using session = new TextSession(decoder, params, 60);
        const turn = async (prompt: readonly number[], options: Partial<GenerateOptions>, most = Infinity): Promise<number[]> => {
          const ids: number[] = [];
          for await (const id of session.generate(prompt, { maxTokens: 12, temperature: 0, ...options })) {
            ids.push(id);
            if (ids.length === most) break;
          }
          all.push(ids);
          return [...prompt, ...ids];
        };
        let text = await turn([1, 2, 3], {});
        text = await turn(text.slice(0, -4), { stopIds: [text.at(-2)!] });
        text = await turn([...text, 7], {}, 3);
        text = await turn([...text, 8, 9], {});
        const signal = new AbortController();
        const aborted = turn(text, { signal: signal.signal }, 2);
        signal.abort();
        await aborted;
        await turn(text, { maxTokens: 100 });
        all.push([session.reused]);
      }
      disposeTree(params);
      expect(device.liveBuffers, "the decoder's table").toBe(1);
      return all;
    };
    const ahead = await turns(true);
    expect(standin.calls().some((call) => call.startsWith("cuGraphLaunch"))).toBe(true);
    expect(launched()).toContain("early choose_next_bf16");
    expect(ahead.at(-2)!.length).toBeGreaterThan(10);
    standin.reset();
    expect(await turns(false)).toEqual(ahead);
  });

  test("texts of a batch are those that each prompt gives alone", async () => {
    using device = open();
    using decoder = new Decoder(device, config);
    const params = weightsOn(device);
    const prompts = [[1, 2, 3], [4], [5, 6, 7, 8, 9], [10, 11]];
    const options = { maxTokens: 9, temperature: 0.8, seed: 3 };
    const alone: number[][] = [];
    for (const prompt of prompts) {
      using session = new TextSession(decoder, params);
      const ids: number[] = [];
      for await (const id of session.generate(prompt, options)) ids.push(id);
      alone.push(ids);
    }
    const together: number[][] = [];
    for await (const { index, ids } of generateBatch(decoder, params, prompts.map((prompt) => ({ prompt, options })), 4)) together[index] = [...ids];
    expect(together).toEqual(alone);
    disposeTree(params);
  });
});

import { KeyValueCache } from "@danu/attention";
import { Decoder, initialize, TextSession, type DecoderConfig, type DecoderParameters } from "@danu/model";
import {
  add, cast, disposeTree, keep, mapTree, max, mul, referenceDevice, scope, tensor, UsageError, type Device, type DType, type Repeated, type Tensor,
} from "@danu/tensor";
import { hostTensor, upload } from "@danu/testing";
import { beforeAll, beforeEach, describe, expect, test } from "vitest";

import { cudaDevice, type CudaDevice } from "../src/index.ts";
import { twinMissing } from "./cuda-home.ts";
import { Standin } from "./standin/control.ts";

const danube: DecoderConfig = {
  hiddenSize: 32, intermediateSize: 48, layers: 2, heads: 4, keyValueHeads: 2, headDim: 16, vocabularySize: 61, maxPositions: 600, slidingWindow: 140,
  ropeTheta: 10_000, rmsNormEps: 1e-5, tieEmbeddings: false, initializerRange: 0.3, bosId: null, eosId: null, padId: null, dtype: "f32",
};
const files = [
  "attention-portable-decode", "attention-portable-forward", "cast", "chain", "choose-next", "elementwise", "embedding", "few-rows", "key-value-append", "matmul", "movement",
  "norm", "norm-rows", "reduce", "rope", "swiglu",
];

function weightsOn(device: Device, config: DecoderConfig, dtype: DType): DecoderParameters {
  const fresh = initialize(device, config, 7);
  const rounded = mapTree(fresh, (p) => keep(scope(() => cast(mul(p, 1), dtype))));
  disposeTree(fresh);
  return rounded as DecoderParameters;
}

/** Without what the device repeats: every op is enqueued anew. */
function eager(device: CudaDevice): CudaDevice {
  Object.assign(device, { repeat: () => null });
  return device;
}

describe.skipIf(twinMissing)(`repeated work on a stand-in for the driver${twinMissing}`, () => {
  let standin: Standin;
  beforeAll(async () => {
    standin = await Standin.load(files);
  }, 900_000);
  beforeEach(() => standin.reset());

  const open = (): CudaDevice => cudaDevice({ driver: standin.library, kernels: standin.folder, env: {} });
  const count = (name: string): number => standin.calls().filter((call) => call.startsWith(name)).length;

  /** Texts one after another in one session, as chosen by the largest score. */
  async function texts(device: Device, dtype: DType, prompts: readonly (readonly number[])[], tokens: number): Promise<number[][]> {
    using decoder = new Decoder(device, danube);
    const params = weightsOn(device, danube, dtype);
    const all: number[][] = [];
    {
      using session = new TextSession(decoder, params);
      for (const prompt of prompts) {
        const ids: number[] = [];
        for await (const id of session.generate(prompt, { maxTokens: tokens, temperature: 0 })) ids.push(id);
        all.push(ids);
      }
    }
    disposeTree(params);
    return all;
  }

  const prompt = (length: number): number[] => Array.from({ length }, (_, i) => (i * 7 + 3) % danube.vocabularySize);

  // Room doubles at 256 positions and the window moves at 280; between them a shorter text with the same beginning.
  const prompts = [prompt(250), [...prompt(20), 5, 9], prompt(274)];

  test.each(["f32", "bf16"] as const)("texts in %s are those without graphs: past the first room and the window, after going back", async (dtype) => {
    const repeated = await texts(open(), dtype, prompts, 14);
    expect(count("cuGraphLaunch")).toBeGreaterThan(20);
    expect([standin.live().graph, standin.live()["graph executable"]]).toEqual([undefined, undefined]);
    expect(standin.reports()).toEqual([]);
    standin.reset();
    expect(repeated).toEqual(await texts(eager(open()), dtype, prompts, 14));
    expect(count("cuGraphLaunch")).toBe(0);
    // Scores that bf16 rounds to the same may come in another order on another device.
    if (dtype === "f32") expect(repeated).toEqual(await texts(referenceDevice(), dtype, prompts, 14));
  }, 900_000);

  test("two texts that take turns are what each is alone, whatever else is allocated between their tokens", async () => {
    const alone = await texts(open(), "bf16", [prompt(30)], 12);
    standin.reset();
    using device = open();
    using decoder = new Decoder(device, danube);
    const params = weightsOn(device, danube, "bf16");
    {
      const turns = [new TextSession(decoder, params), new TextSession(decoder, params)].map((session) => (
        { session, ids: [] as number[], text: session.generate(prompt(30), { maxTokens: 12, temperature: 0 }) }
      ));
      for (let token = 0; token < 12; token++) {
        for (const { text, ids } of turns) {
          ids.push(Number((await text.next()).value));
          const sizes = [16, 64, 256, 1024];
          const others = sizes.map((size) => tensor(device, Array.from({ length: size }, () => NaN)));
          await others[0]!.read();
          disposeTree(others);
        }
      }
      expect(turns.map(({ ids }) => ids)).toEqual([alone[0], alone[0]]);
      for (const { session } of turns) session[Symbol.dispose]();
    }
    disposeTree(params);
    expect(count("cuGraphInstantiate")).toBe(2);
    expect(standin.reports()).toEqual([]);
  }, 600_000);

  test("caches of several texts give the reference device's attention, whichever position comes next", async () => {
    const [B, H, G, D, positions] = [3, 4, 2, 16, 40];
    const options = { batch: B, keyValueHeads: G, headDim: D, maxPositions: 100, slidingWindow: 13, dtype: "bf16" } as const;
    const inputs = Array.from({ length: positions }, (_, t) => [
      hostTensor("bf16", [B, 1, H, D], 3 * t), hostTensor("bf16", [B, 1, G, D], 3 * t + 1), hostTensor("bf16", [B, 1, G, D], 3 * t + 2),
    ] as const);
    const on = async (device: Device): Promise<number[][]> => {
      using cache = new KeyValueCache(device, options);
      const [q, k, v] = inputs[0]!.map((x) => upload(device, x)) as [Tensor, Tensor, Tensor];
      const stored = tensor(device, [0], [1], "i32");
      const work = device.repeat(() => cache.attendNext(q, k, v, stored));
      const outputs: number[][] = [];
      for (const next of inputs) {
        next.forEach(({ values, dtype }, i) => device.write([q, k, v][i]!.handle, device.encode(dtype, values)));
        if (work === null) {
          const y = scope(() => cache.attend(q, k, v));
          outputs.push([...await y.read()]);
          y.dispose();
        } else {
          device.write(stored.handle, device.encode("i32", [cache.next()]));
          outputs.push([...await work.run().read()]);
        }
      }
      work?.[Symbol.dispose]();
      disposeTree([q, k, v, stored]);
      expect(device.liveBuffers).toBe(2);
      return outputs;
    };
    const got = await on(open());
    expect(count("cuGraphLaunch")).toBe(positions - 1);
    standin.reset();
    expect(await on(eager(open()))).toEqual(got);
    const expected = await on(referenceDevice());
    expected.forEach((row, t) => row.forEach((value, i) => expect(Math.abs(got[t]![i]! - value)).toBeLessThan(2 ** -7 * (1 + Math.abs(value)))));
  }, 600_000);

  /** Work that doubles what it reads, some times. */
  function doubling(device: CudaDevice): { x: Tensor; work: Repeated<Tensor> } {
    const x = tensor(device, [1, 2]);
    return { x, work: device.repeat(() => add(x, x))! };
  }

  test("is enqueued twice, then launched; its memory is its own until it ends", async () => {
    using device = open();
    const before = device.memory().live;
    const { x, work } = doubling(device);
    for (const value of [1, 5, 7, 9]) {
      device.write(x.handle, device.encode("f32", [value, 0]));
      expect([...await work.run().read()]).toEqual([2 * value, 0]);
    }
    expect([count("cuGraphInstantiate"), count("cuGraphLaunch"), count("cuGraphExecDestroy")]).toEqual([1, 3, 0]);
    work[Symbol.dispose]();
    x.dispose();
    expect(device.memory().live).toBe(before);
    expect(count("cuGraphExecDestroy")).toBe(1);
  });

  test("ends with its device, and may be disposed of afterwards", () => {
    const device = open();
    const { work } = doubling(device);
    for (let i = 0; i < 3; i++) work.run();
    device[Symbol.dispose]();
    work[Symbol.dispose]();
    expect(standin.live()).toEqual({});
    expect(standin.reports()).toEqual([]);
  });

  test("is enqueued every time where every kernel is waited for", async () => {
    using device = cudaDevice({ driver: standin.library, kernels: standin.folder, env: { DANU_CUDA_WAIT: "1" } });
    const { x, work } = doubling(device);
    for (let i = 0; i < 3; i++) expect([...await work.run().read()]).toEqual([2, 4]);
    expect(count("cuGraphLaunch")).toBe(0);
    work[Symbol.dispose]();
    x.dispose();
  });

  test("refuses values of the host, and work that grows; the device goes on", async () => {
    using device = open();
    const { x, work } = doubling(device);
    expect(() => device.repeat(() => tensor(device, [1]))!.run()).toThrow("repeat: expected work on tensors, got values of the host; write them before it runs");
    let runs = 0;
    using growing = device.repeat(() => scope(() => (runs++ === 0 ? add(x, x) : add(add(x, x), add(x, x)))))!;
    growing.run();
    expect(() => growing.run()).toThrow(UsageError);
    expect(standin.live().graph).toBeUndefined();
    expect([...await work.run().read()]).toEqual([2, 4]);
    work[Symbol.dispose]();
    x.dispose();
  });

  test("is captured after a run to its end alone", async () => {
    using device = open();
    const x = tensor(device, [1, 2]);
    let fails = true;
    const work = device.repeat(() => {
      const y = add(x, x);
      if (fails) throw new Error("not yet");
      return add(y, y);
    })!;
    expect(() => work.run()).toThrow("not yet");
    fails = false;
    for (let i = 0; i < 3; i++) {
      expect(count("cuStreamBeginCapture")).toBe(Math.max(0, i - 1));
      expect([...await work.run().read()]).toEqual([4, 8]);
    }
    work[Symbol.dispose]();
    x.dispose();
    expect(device.liveBuffers).toBe(0);
  });

  test("gives up its graph and memory before the GPU has none left, and starts over", async () => {
    standin.setChip({ memoryBytes: 4 << 20 });
    using device = open();
    const x = tensor(device, Array.from({ length: 1 << 18 }, (_, i) => i % 7));
    const work = device.repeat(() => max(add(x, x)))!;
    const results = async (): Promise<number[]> => [await work.run().item(), await work.run().item(), await work.run().item()];
    expect(await results()).toEqual([12, 12, 12]);
    expect([standin.live()["graph executable"], device.memory().live >> 20]).toEqual([1, 2]);
    const others = device.allocate(5 << 19);
    expect([standin.live()["graph executable"], device.memory().live >> 19]).toEqual([undefined, 7]);
    expect(() => work.run()).toThrow(/^cuda: no GPU memory for 1\.0 MB/);
    device.free(others);
    expect(await results()).toEqual([12, 12, 12]);
    expect(count("cuGraphInstantiate")).toBe(2);
    work[Symbol.dispose]();
    x.dispose();
    expect(standin.reports()).toEqual([]);
  });

  test("a driver that cannot capture, instantiate or launch says so", async () => {
    for (const name of ["cuStreamBeginCapture_v2", "cuGraphInstantiateWithFlags", "cuGraphLaunch"]) {
      using device = open();
      const { x, work } = doubling(device);
      work.run();
      standin.fail(name, 801);
      expect(() => work.run(), name).toThrow("CUDA error 801");
      expect(standin.live().graph, name).toBeUndefined();
      work[Symbol.dispose]();
      x.dispose();
    }
  });
});

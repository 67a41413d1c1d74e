import { attendNextOp, queryKeyValue, ropeTable } from "@danu/attention";
import { disposeTree, linear, mul, normSwiglu, reshape, run, scope, slice, tensor, UsageError, type DType, type Tensor } from "@danu/tensor";
import { hostTensor } from "@danu/testing";
import { beforeAll, beforeEach, describe, expect, test } from "vitest";

import type { Step } from "../src/chain.ts";
import type { Chip } from "../src/chip.ts";
import { cudaDevice, type CudaDevice } from "../src/index.ts";
import { canChain, fitsChain } from "../src/kernels/generation/chain.ts";
import { multiplyFewRows } from "../src/kernels/generation/few-rows.ts";
import { twinMissing } from "./cuda-home.ts";
import { Standin } from "./standin/control.ts";
import { launchesIn } from "./standin/launches.ts";
import { openOn } from "./standin/on-chip.ts";

/** Sizes of the layers of a decoder. */
interface Sizes {
  readonly dtype: "bf16" | "f16";
  readonly C: number;
  readonly F: number;
  readonly H: number;
  readonly G: number;
  readonly D: number;
  readonly room: number;
  readonly window: number | null;
}
const sizes: Sizes = { dtype: "bf16", C: 64, F: 48, H: 4, G: 2, D: 16, room: 40, window: null };
const chain = "together chain_bf16_64";

type Cache = readonly [keys: Tensor, values: Tensor];

function attend(q: Tensor, [keys, values]: Cache, k: Tensor, v: Tensor, stored: Tensor, slidingWindow: number | null = null): Tensor {
  return run(attendNextOp, [q, keys, values, k, v, stored], { scale: q.shape[3]! ** -0.5, slidingWindow })[0];
}

test("chains are for Hopper with room for a ring", () => {
  const chip = { capability: 90, sharedBytes: 227 << 10 } as Chip;
  expect(canChain(chip)).toBe(true);
  expect([{ ...chip, capability: 89 }, { ...chip, capability: 100 }, { ...chip, sharedBytes: 99 << 10 }].some(canChain)).toBe(false);
});

test("a step has room for what it makes, and addresses for wide loads", () => {
  const linear: Step = { kind: "linear", dtype: "bf16", x: [[256, 128]], results: [[516, 2 ** 14]], weights: [[1024, 2 ** 20]], n: 8192, K: 64, extra: 64 };
  const heads: Step = { ...linear, kind: "queryKeyValue", n: 2048, G: 512, D: 80, extra: 10 };
  const attention: Step = { ...linear, kind: "attention", n: 32, G: 2, D: 80, K: 300, parts: 50 };
  const those = (step: Step, ...others: readonly Partial<Step>[]): boolean[] => others.map((other) => fitsChain({ ...step, ...other }));
  expect([linear, heads, attention].map(fitsChain)).toEqual([true, true, true]);
  expect(those(
    linear, { x: [[264, 128]] }, { weights: [[1032, 2 ** 20]] }, { norm: [1032, 128] }, { results: [[514, 2 ** 14]] }, { n: 8193 }, { K: 60 }, { K: 8200 },
    { kind: "swiglu", n: 8191 },
  )).not.toContain(true);
  expect(those(heads, { n: 2560 }, { D: 76 })).not.toContain(true);
  expect(those(attention, { parts: 51 }, { n: 33 }, { n: 72, G: 8, D: 120, parts: 1 })).not.toContain(true);
});

describe.skipIf(twinMissing)(`chains on a stand-in for the driver${twinMissing}`, () => {
  let standin: Standin;
  beforeAll(async () => {
    standin = await Standin.load(["attention-portable-decode", "cast", "chain", "elementwise", "few-rows", "movement"]);
  }, 900_000);
  beforeEach(() => standin.reset());
  const launched = (): string[] => launchesIn(standin.calls());

  function open(capability = "9.0", multiprocessors = 4): CudaDevice {
    standin.setChip({ capability, multiprocessors });
    return openOn(standin);
  }

  /** Tensors of a device, each of other numbers, products with which keep their size. */
  class Numbers implements Disposable {
    readonly #all: Tensor[] = [];
    readonly #device: CudaDevice;
    readonly #dtype: DType;

    constructor(device: CudaDevice, dtype: DType = "bf16") {
      this.#device = device;
      this.#dtype = dtype;
    }

    make(...shape: number[]): Tensor {
      const { values } = hostTensor("f32", shape, this.#all.length + 1);
      return this.keep(tensor(this.#device, Array.from(values, (value) => Number(value) / Math.sqrt(shape.at(-1)!)), shape, this.#dtype));
    }

    keep<T extends Tensor>(one: T): T {
      this.#all.push(one);
      return one;
    }

    [Symbol.dispose](): void {
      disposeTree(this.#all);
    }
  }

  /** Outputs of the layers for some positions of a text, and what their caches hold then.
   *  @param note is given the kernels of a token that is not captured */
  async function tokens(device: CudaDevice, { dtype, C, F, H, G, D, room, window }: Sizes, positions: readonly number[], note: (kernels: string[]) => void): Promise<Buffer[]> {
    using numbers = new Numbers(device, dtype);
    const layers = [0, 1].map(() => ({
      norm: numbers.make(C), query: numbers.make(H * D, C), key: numbers.make(G * D, C), value: numbers.make(G * D, C), output: numbers.make(C, H * D),
      gate: numbers.make(F, C), up: numbers.make(F, C), down: numbers.make(C, F), keys: numbers.make(1, room, G, D), values: numbers.make(1, room, G, D),
    }));
    const table = numbers.keep(ropeTable(device, { positions: room, headDim: D, theta: 10_000 }));
    const [position, stored] = [numbers.keep(tensor(device, [0], [1, 1], "i32")), numbers.keep(tensor(device, [0], [1], "i32"))];
    const x = numbers.make(1, 1, C);
    const work = (): Tensor => layers.reduce((row, { norm, query, key, value, output, gate, up, down, keys, values }) => {
      const [q, k, v] = queryKeyValue(row, norm, { query, key, value }, table, position);
      const o = attend(q, [keys, values], k, v, stored, window);
      const h = linear(reshape(o, [1, 1, H * D]), output, row);
      return linear(normSwiglu(h, norm, gate, up), down, h);
    }, x);
    const repeated = device.repeat(work);
    const results: Buffer[] = [];
    for (const [i, at] of positions.entries()) {
      for (const number of [position, stored]) device.write(number.handle, device.encode("i32", [at]));
      device.write(x.handle, device.encode(dtype, Array.from({ length: C }, (_, c) => Math.sin(c * (i + 1)))));
      standin.clear();
      const y = repeated === null ? scope(work) : repeated.run();
      if (i === 0) note(launched());
      results.push(Buffer.from(await y.bytes()));
      if (repeated === null) y.dispose();
    }
    for (const { keys, values } of layers) for (const cache of [keys, values]) results.push(Buffer.from(await cache.bytes()));
    repeated?.[Symbol.dispose]();
    return results;
  }

  test.each<[what: string, sizes: Sizes, positions: readonly number[], width: number, multiprocessors: number]>([
    ["layers of a text", sizes, [0, 1, 2, 39], 64, 4],
    ["rows of 520, four heads to one of keys, a window", { ...sizes, C: 520, G: 1, window: 5 }, [3, 4, 5], 64, 4],
    ["f16, heads of 40, as many of keys", { ...sizes, dtype: "f16", D: 40, H: 2 }, [7, 8, 9], 64, 4],
    ["keys in parts, heads of 96", { ...sizes, D: 96, room: 300 }, [140, 141, 299], 96, 4],
    ["steps that not all blocks have part in, sixteen heads to one of keys", { ...sizes, C: 40, F: 8, H: 16, G: 1, D: 8 }, [15, 16, 17], 64, 7],
  ])("%s have the bits of the kernels of their steps", async (_, of, positions, width, multiprocessors) => {
    const kernels: string[][] = [];
    const chained = await tokens(open("9.0", multiprocessors), of, positions, (names) => kernels.push(names));
    // The last token was a graph's.
    expect(standin.calls().filter((call) => call.startsWith("cuLaunch"))).toEqual([]);
    for (const capability of ["9.0", "8.0"]) {
      standin.reset();
      const device = open(capability);
      Object.assign(device, { repeat: () => null });
      expect((await tokens(device, of, positions, (names) => kernels.push(names))).map((bytes, i) => bytes.equals(chained[i]!))).not.toContain(false);
    }
    expect(kernels[0]).toEqual([`together chain_${of.dtype}_${width}`]);
    expect(kernels.slice(1).map(({ length }) => length)).toEqual([10, 10]);
    expect(standin.reports()).toEqual([]);
  });

  /** Runs work once call by call, once captured and once without repeating it, which must give the same.
   *  @returns kernels of the first run, without what is said of early starts */
  async function launchesOf(device: CudaDevice, work: () => Tensor): Promise<string[]> {
    const repeated = device.repeat(work)!;
    standin.clear();
    const results = [Buffer.from(await repeated.run().bytes())];
    const names = launched().map((kernel) => kernel.replace("early ", ""));
    results.push(Buffer.from(await repeated.run().bytes()));
    repeated[Symbol.dispose]();
    const plain = scope(work);
    results.push(Buffer.from(await plain.bytes()));
    plain.dispose();
    expect(results.map((bytes) => bytes.equals(results[2]!))).toEqual([true, true, true]);
    expect(standin.reports()).toEqual([]);
    return names;
  }
  const alone = "few_rows_linear_bf16";

  test("products of one row, each of what the one before made; one by itself is the kernel of few rows", async () => {
    using device = open();
    using numbers = new Numbers(device);
    const [x, rows, a, b] = [numbers.make(1, 1, 64), numbers.make(1, 2, 64), numbers.make(64, 64), numbers.make(16, 64)];
    expect(await launchesOf(device, () => linear(linear(x, a), b))).toEqual([chain]);
    expect(await launchesOf(device, () => linear(x, b))).toEqual([alone]);
    expect(await launchesOf(device, () => linear(linear(rows, a), b))).toEqual([alone, alone]);
    // Of two rows that leave one, and of one that something else has made.
    expect(await launchesOf(device, () => linear(linear(slice(linear(rows, a), 1, 1, 2), a), b))).toEqual([alone, chain]);
    expect(await launchesOf(device, () => linear(mul(linear(linear(x, a), a), 2), b))).toEqual([chain, "binary_bf16", alone]);
    expect(scope(() => {
      standin.clear();
      linear(linear(x, a), b);
      return launched();
    })).toEqual([alone, `early ${alone}`]);
  });

  test("120 steps; more are another chain", async () => {
    using device = open();
    using numbers = new Numbers(device);
    const [x, a] = [numbers.make(1, 1, 16), numbers.make(16, 16)];
    const steps = (count: number) => (): Tensor => Array.from({ length: count }).reduce<Tensor>((row) => linear(row, a, x), x);
    expect(await launchesOf(device, steps(120))).toEqual([chain]);
    expect(await launchesOf(device, steps(121))).toEqual([chain, alone]);
    expect(await launchesOf(device, steps(122))).toEqual([chain, chain]);
  });

  test("what a step wrote is read by the next as its row alone: not in part, not two later, not as weights or a norm", async () => {
    using device = open();
    using numbers = new Numbers(device);
    const [x, a, wide, narrow] = [numbers.make(1, 1, 64), numbers.make(64, 64), numbers.make(1024, 64), numbers.make(16, 1024)];
    expect(await launchesOf(device, () => {
      const y = linear(x, a);
      linear(y, a);
      return linear(y, a);
    })).toEqual([chain, alone]);
    expect(await launchesOf(device, () => {
      const y = linear(x, wide);
      return linear(reshape(linear(y, narrow), [1, 1, 16]), reshape(y, [64, 16]));
    })).toEqual([chain, alone]);
    expect(await launchesOf(device, () => {
      const norm = linear(x, a);
      return normSwiglu(linear(norm, a), reshape(norm, [64]), a, a);
    })).toEqual([chain, "few_rows_swiglu_bf16"]);
    const result = numbers.make(1, 1, 16);
    for (const half of [0, 64]) {
      expect(await launchesOf(device, () => {
        const row = linear(linear(x, a), a).handle + half;
        multiplyFewRows(device, {
          y: result.handle, a: row, b: a.handle, residual: 0, dtype: "bf16", result: "bf16", M: 1, N: 16, K: 32, layout: "nt", count: 1, steps: [0, 0],
        });
        return reshape(result, [16]);
      })).toEqual([chain, alone]);
    }
  });

  test("a residual is of before the chain, or of a linear layer of as many elements", async () => {
    using device = open();
    using numbers = new Numbers(device);
    const [x, norm, a, up, square] = [numbers.make(1, 1, 64), numbers.make(64), numbers.make(64, 64), numbers.make(32, 64), numbers.make(64, 32)];
    expect(await launchesOf(device, () => linear(normSwiglu(linear(x, a), norm, up, up), square, x))).toEqual([chain]);
    expect(await launchesOf(device, () => {
      const y = linear(x, a);
      return linear(normSwiglu(y, norm, up, up), square, y);
    })).toEqual([chain]);
    expect(await launchesOf(device, () => {
      const y = normSwiglu(linear(x, a), norm, a, a);
      return linear(linear(y, up), square, y);
    })).toEqual([chain, alone]);
    // Where memory was a linear layer's before, who wrote to it last counts.
    const reused: boolean[] = [];
    expect(await launchesOf(device, () => {
      const first = linear(x, a);
      const second = linear(first, a);
      const { handle } = first;
      first.dispose();
      const gated = normSwiglu(second, norm, a, a);
      reused.push(gated.handle === handle);
      return linear(linear(gated, up), square, gated);
    })).toEqual([chain, alone]);
    expect(reused.slice(0, 2), "while it is repeated").toEqual([true, true]);
  });

  test("attention is of the queries, keys and values just made, over a cache of its own and heads of one size", async () => {
    using device = open();
    using numbers = new Numbers(device);
    const [x, norm, table, position, stored] = [
      numbers.make(1, 1, 64), numbers.make(64), numbers.keep(ropeTable(device, { positions: 8, headDim: 16, theta: 1e4 })),
      numbers.keep(tensor(device, [3], [1, 1], "i32")), numbers.keep(tensor(device, [3], [1], "i32")),
    ];
    const broad = numbers.keep(ropeTable(device, { positions: 8, headDim: 32, theta: 1e4 }));
    const [query, key, output, queries] = [numbers.make(64, 64), numbers.make(32, 64), numbers.make(64, 64), numbers.make(1, 1, 4, 16)];
    const cache = (G: number, D: number): Cache => [numbers.make(1, 8, G, D), numbers.make(1, 8, G, D)];
    const [first, second, broader] = [cache(2, 16), cache(2, 16), cache(1, 32)];
    const heads = (row: Tensor, angles = table): readonly [Tensor, Tensor, Tensor] => queryKeyValue(row, norm, { query, key, value: key }, angles, position);
    const layer = (row: Tensor, over: Cache, angles = table): Tensor => {
      const [q, k, v] = heads(row, angles);
      return linear(reshape(attend(q, over, k, v, stored), [1, 1, 64]), output);
    };
    const decode = "attention_portable_decode_bf16_64";
    expect(await launchesOf(device, () => layer(layer(x, first), second))).toEqual([chain]);
    expect(await launchesOf(device, () => layer(layer(x, first), [first[0], second[1]]))).toEqual([chain, decode, alone]);
    expect(await launchesOf(device, () => layer(layer(x, first), [second[0], first[1]]))).toEqual([chain, decode, alone]);
    expect(await launchesOf(device, () => layer(layer(x, first), broader, broad))).toEqual([chain, chain]);
    expect(await launchesOf(device, () => {
      const [, k, v] = heads(linear(x, output));
      return attend(queries, first, k, v, stored);
    })).toEqual([chain, decode]);
    // Rotated heads are a row for nobody else.
    expect(await launchesOf(device, () => linear(reshape(heads(linear(x, output))[0], [1, 1, 64]), output))).toEqual([chain, alone]);
  });

  test("sizes that the kernels do not take are launched by themselves", async () => {
    using device = open();
    using numbers = new Numbers(device);
    const twice = async (C: number, N: number): Promise<string[]> => {
      const [x, a, b] = [numbers.make(1, 1, C), numbers.make(N, C), numbers.make(8, N)];
      return launchesOf(device, () => linear(linear(x, a), b));
    };
    expect(await twice(8192, 8)).toEqual([chain]);
    expect(await twice(8200, 8)).toEqual([alone, alone]);
    const [x, norm, odd] = [numbers.make(1, 1, 16), numbers.make(16), numbers.make(9, 16)];
    const a = numbers.make(16, 16);
    expect(await launchesOf(device, () => normSwiglu(linear(x, a), norm, odd, odd))).toEqual([alone, "few_rows_swiglu_bf16"]);
  });

  test("is launched before memory that it uses goes back to the driver", async () => {
    using device = cudaDevice({ driver: standin.library, kernels: standin.folder, env: { DANU_CUDA_KEEP: "0" } });
    using numbers = new Numbers(device);
    const [x, a, b] = [numbers.make(1, 1, 64), numbers.make(64, 64), numbers.make(16, 64)];
    const weight = tensor(device, Array.from({ length: 64 * 64 }, (_, i) => Math.sin(i)), [64, 64], "bf16");
    const expected = scope(() => linear(linear(x, weight), b));
    const work = device.repeat(() => {
      const y = linear(linear(x, weight), b);
      weight.dispose();
      linear(linear(x, a), a);
      return y;
    })!;
    standin.clear();
    expect(await work.run().bytes()).toEqual(await expected.bytes());
    const order = standin.calls().filter((call) => /^cu(LaunchCooperativeKernel|MemFreeAsync)/.test(call)).map((call) => call.split(" ")[0]);
    expect(order).toEqual(["cuLaunchCooperativeKernel", "cuMemFreeAsync", "cuLaunchCooperativeKernel"]);
    expect(standin.reports()).toEqual([]);
    work[Symbol.dispose]();
    expected.dispose();
  });

  test("is launched before a GPU without memory takes that of repeated work, which starts over", async () => {
    standin.setChip({ memoryBytes: 8 << 20 });
    using device = openOn(standin);
    using numbers = new Numbers(device);
    const [x, a] = [numbers.make(1, 1, 64), numbers.make(64, 64)];
    let bytes = 8 << 20;
    const work = device.repeat(() => {
      const y = scope(() => linear(linear(x, a), a));
      device.free(device.allocate(bytes));
      return y;
    })!;
    standin.clear();
    expect(() => work.run()).toThrow("no GPU memory");
    const calls = standin.calls().map((call) => call.split(" ")[0]);
    expect(calls.indexOf("cuLaunchCooperativeKernel")).toBeGreaterThan(0);
    expect(calls.indexOf("cuLaunchCooperativeKernel")).toBeLessThan(calls.indexOf("cuMemFreeAsync"));
    bytes = 16;
    const expected = scope(() => linear(linear(x, a), a));
    for (let i = 0; i < 3; i++) expect(await work.run().bytes()).toEqual(await expected.bytes());
    expect(standin.reports()).toEqual([]);
    work[Symbol.dispose]();
    expected.dispose();
  });

  test("one exchange serves a device, and is not taken while a graph is captured", () => {
    const devices = [open(), openOn(standin)];
    for (const device of devices) {
      using numbers = new Numbers(device);
      const [x, a] = [numbers.make(1, 1, 64), numbers.make(64, 64)];
      let runs = 0;
      const late = device.repeat(() => (runs++ === 0 ? mul(x, 1) : linear(linear(x, a), a)))!;
      late.run();
      expect(() => late.run()).toThrow(UsageError);
      late[Symbol.dispose]();
      const before = device.memory().live;
      const works = [0, 1].map(() => device.repeat(() => linear(linear(x, a), a))!);
      for (const work of [...works, ...works]) work.run();
      expect(device.memory().live - before).toBe(256 + 4 * 2 ** 20 + 2 * 2 * 128);
      works.forEach((work) => work[Symbol.dispose]());
      expect(device.memory().live - before).toBe(256 + 4 * 2 ** 20);
    }
    for (const device of devices) device[Symbol.dispose]();
    expect(standin.live()).toEqual({});
    expect(standin.reports()).toEqual([]);
  });

  test("one that cannot be launched says so and leaves nothing; the next run is not captured", async () => {
    using device = open();
    using numbers = new Numbers(device);
    const [x, a] = [numbers.make(1, 1, 64), numbers.make(64, 64)];
    const work = device.repeat(() => linear(linear(x, a), a))!;
    const before = device.liveBuffers;
    standin.fail("cuLaunchCooperativeKernel", 720);
    expect(() => work.run()).toThrow("cuda: chain_bf16_64: a kernel whose blocks must all run at the same time is too large for this GPU (CUDA error 720)");
    expect(device.liveBuffers).toBe(before);
    standin.clear();
    const expected = scope(() => linear(linear(x, a), a));
    expect(await work.run().bytes()).toEqual(await expected.bytes());
    expect(standin.calls().join()).not.toContain("Capture");
    work[Symbol.dispose]();
    expected.dispose();
  });

  test("there is none where every kernel is waited for", async () => {
    using device = cudaDevice({ driver: standin.library, kernels: standin.folder, env: { DANU_CUDA_WAIT: "1" } });
    using numbers = new Numbers(device);
    const [x, a] = [numbers.make(1, 1, 64), numbers.make(64, 64)];
    expect(await launchesOf(device, () => linear(linear(x, a), a))).toEqual([alone, alone]);
  });
});

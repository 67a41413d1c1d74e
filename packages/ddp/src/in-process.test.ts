import { cpuDevice } from "@danu/cpu";
import { disposeTree, dtypes, formatShape, referenceDevice, tensor, type Device, type Tensor } from "@danu/tensor";
import fc from "fast-check";
import { expect, test } from "vitest";

import { CollectiveError, inProcess, runRanks, type Collective, type Reduction, type Shared } from "./index.ts";

/** Lets others go first, a number of times. */
async function pause(turns: number): Promise<void> {
  for (let i = 0; i < turns; i++) await new Promise(setImmediate);
}

const element = fc.oneof(
  fc.float({ noDefaultInfinity: true, noNaN: true }), fc.constantFrom(0, -0, 1, 2 ** -149, Math.fround(3e38), Infinity, NaN),
);
const shape = fc.array(fc.nat(4), { maxLength: 3 });

/** For every rank the elements of every value, and how long it dawdles. */
const cases = fc.record({ size: fc.integer({ min: 1, max: 4 }), shapes: fc.array(shape, { maxLength: 6 }) }).chain(({ size, shapes }) => {
  const list = (n: number): fc.Arbitrary<number[]> => fc.array(element, { minLength: n, maxLength: n });
  const ofRank = fc.tuple(fc.tuple(...shapes.map((each) => list(each.reduce((a, b) => a * b, 1)))), list(3));
  return fc.record({
    shapes: fc.constant(shapes), bucketBytes: fc.integer({ min: 1, max: 80 }), reduction: fc.constantFrom<Reduction>("sum", "max"),
    ranks: fc.array(ofRank, { minLength: size, maxLength: size }), pauses: fc.array(fc.nat(5), { minLength: size, maxLength: size }),
  });
});

/** What all ranks must get: rank by rank in f64. */
function expected(lists: readonly (readonly number[])[], reduction: Reduction): number[] {
  return lists[0]!.map((_, i) => lists.map((list) => list[i]!).reduce((a, b) => (reduction === "sum" ? a + b : Math.max(a, b))));
}

const devices: Record<string, (rank: number) => Device> = {
  reference: () => referenceDevice(), f64: () => referenceDevice({ precision: "f64" }), cpu: () => cpuDevice({ threads: 1 }),
};

test.each(Object.keys(devices))("sums and maxima are those of the ranks in order, the same bits on all, %s", async (name) => {
  const all = Array.from({ length: 4 }, (_, rank) => devices[name]!(rank));
  const round = (x: number): number => (name === "f64" ? x : Math.fround(x));
  await fc.assert(fc.asyncProperty(cases, async ({ shapes, bucketBytes, reduction, ranks, pauses }) => {
    const results = await runRanks(inProcess(ranks.length, { bucketBytes }), async (collective) => {
      const [lists, numbers] = [ranks[collective.rank]![0], Float64Array.from(ranks[collective.rank]![1])];
      const tensors = shapes.map((each, i) => tensor(all[collective.rank]!, lists[i]!, each));
      const [half, rest] = [tensors.slice(0, 2), tensors.slice(2)];
      await pause(pauses[collective.rank]!);
      await collective.allReduce([...half, numbers, ...rest], reduction);
      const read = await Promise.all(tensors.map(async (x) => [...await x.read()]));
      disposeTree(tensors);
      return [...read, [...numbers]];
    });
    const wanted = [
      ...shapes.map((_, i) => expected(ranks.map(([lists]) => lists[i]!), reduction).map(round)),
      expected(ranks.map(([, numbers]) => numbers), reduction),
    ];
    for (const result of results) expect(result).toEqual(wanted);
    for (const device of all) expect(device.liveBuffers).toBe(0);
  }), { numRuns: 60 });
  for (const device of all) device[Symbol.dispose]();
});

test("all ranks get the values of the root, of every type", async () => {
  const shapes = [[2, 3], [], [0, 2], [9]];
  for (const root of [0, 2]) {
    await runRanks(inProcess(3, { bucketBytes: 7 }), async (collective) => {
      const device = referenceDevice();
      const tensors = shapes.flatMap((each, i) => dtypes.map((dtype) => {
        const n = each.reduce((a, b) => a * b, 1);
        return tensor(device, Array.from({ length: n }, (_, k) => collective.rank * 16 + i + k / 2), each, dtype);
      }));
      const expectedOnes = tensors.map((x) => tensor(device, Array.from({ length: x.size }, (_, k) => (
        root * 16 + shapes.findIndex((each) => formatShape(each) === formatShape(x.shape)) + k / 2
      )), x.shape, x.dtype));
      const numbers = Float64Array.of(collective.rank, Math.PI * collective.rank);
      await collective.broadcast([...tensors, numbers], root);
      for (const [i, x] of tensors.entries()) expect(await x.bytes()).toEqual(await expectedOnes[i]!.bytes());
      expect([...numbers]).toEqual([root, Math.PI * root]);
      disposeTree([tensors, expectedOnes]);
      expect(device.liveBuffers).toBe(0);
    });
  }
});

test("a barrier holds every rank until the last is here", async () => {
  const arrived: number[] = [];
  await runRanks(inProcess(3), async (collective) => {
    await pause(3 * collective.rank);
    arrived.push(collective.rank);
    await collective.barrier();
    expect(arrived).toEqual([0, 1, 2]);
  });
});

test("calls that are not awaited are carried out one after another, in their order", async () => {
  await runRanks(inProcess(3, { bucketBytes: 8 }), async (collective) => {
    const numbers = Float64Array.of(1, 10, 100 * collective.rank);
    using x = tensor(referenceDevice(), [1, 10, 100 * collective.rank]);
    const calls = Array.from({ length: 4 }, () => collective.allReduce([x, numbers]));
    calls.push(collective.broadcast([x, numbers], 1), collective.allReduce([x, numbers], "max"));
    await collective.barrier();
    // Four sums over three ranks: 3⁴ times 1 and 10, and 3³ times the sum of 0, 100 and 200.
    expect([...numbers]).toEqual([81, 810, 8100]);
    expect([...await x.read()]).toEqual([81, 810, 8100]);
    await Promise.all(calls);
  });
});

interface Failure {
  readonly name: string;
  /** What rank 1 of three does where the others reduce `[2]`. */
  readonly odd: (collective: Collective, x: Tensor) => Promise<unknown>;
  readonly message: RegExp;
}

const other = (collective: Collective, make: (device: Device) => Shared[], x: Tensor): Promise<void> => {
  const values = make(x.device);
  return collective.allReduce(values).finally(() => disposeTree(values));
};
const failures: Failure[] = [
  { name: "throws", odd: async () => { throw new Error("no memory"); }, message: /^rank 1 failed while rank \d waits in allReduce \(sum\): no memory$/ },
  { name: "leaves", odd: async () => undefined, message: /^rank 1 left while rank \d waits in allReduce \(sum\); all ranks must make the same calls$/ },
  { name: "broadcasts", odd: (c, x) => c.broadcast([x]), message: /^rank \d called .* where rank \d called .*; all ranks must make the same calls/ },
  { name: "waits at a barrier", odd: (c) => c.barrier(), message: /called .*barrier/ },
  { name: "asks for a maximum", odd: (c, x) => c.allReduce([x], "max"), message: /allReduce \(max\)/ },
  { name: "has another shape", odd: (c, x) => other(c, (d) => [tensor(d, [1, 2, 3])], x), message: /allReduce \(sum\): value 1 is f32 \[\d\] on rank \d, f32 \[\d\] on rank \d/ },
  { name: "has another type", odd: (c, x) => other(c, (d) => [tensor(d, [1, 2], [2], "bf16")], x), message: /value 1 is .*bf16 \[2\]/ },
  { name: "has numbers of the host", odd: (c) => c.allReduce([Float64Array.of(1, 2)]), message: /value 1 is .*f64 \[2\]/ },
  { name: "has fewer values", odd: (c) => c.allReduce([]), message: /gave \d values, rank \d \d/ },
  { name: "has freed its tensor", odd: (c, x) => { const gone = tensor(x.device, [1, 2]); gone.dispose(); return c.allReduce([gone]); }, message: /^rank 1 failed: tensor \[2\]: used after it was freed/ },
];

test.each(failures)("one rank $name: every rank gets the same error, then and later, and nothing is left", async ({ odd, message }) => {
  await fc.assert(fc.asyncProperty(fc.array(fc.nat(3), { minLength: 3, maxLength: 3 }), async (pauses) => {
    const seen: unknown[] = [];
    const all = Array.from({ length: 3 }, () => referenceDevice());
    const run = runRanks(inProcess(3), async (collective) => {
      using x = tensor(all[collective.rank]!, [1, 2]);
      await collective.allReduce([x]);
      await pause(pauses[collective.rank]!);
      await (collective.rank === 1 ? odd(collective, x) : collective.allReduce([x])).catch((error: unknown) => {
        if (!(error instanceof CollectiveError)) throw error;
        seen.push(error);
      });
      if (collective.rank !== 1) await collective.barrier();
    });
    await expect(run).rejects.toThrow();
    expect(seen.length).toBeGreaterThanOrEqual(2);
    for (const error of seen) expect(error).toBe(seen[0]);
    expect((seen[0] as Error).message).toMatch(message);
    for (const device of all) expect(device.liveBuffers).toBe(0);
  }), { numRuns: 20 });
});

test("a rank that fails tells its reason, and runRanks throws it once all are done", async () => {
  const reason = new Error("disk is full");
  const done: number[] = [];
  const run = runRanks(inProcess(3), async (collective) => {
    if (collective.rank === 2) throw reason;
    const error = await collective.barrier().catch((caught: unknown) => caught);
    expect(error).toMatchObject({ code: "collective", data: { rank: 2 }, cause: reason });
    await pause(4);
    done.push(collective.rank);
  });
  await expect(run).rejects.toBe(reason);
  expect(done).toEqual([0, 1]);
});

test("a rank that calls after it has left is told so; what it called before is carried out", async () => {
  const [first, second] = inProcess(2) as [Collective, Collective];
  const numbers = [Float64Array.of(1), Float64Array.of(2)] as const;
  const before = first.allReduce([numbers[0]]);
  first.leave();
  await expect(first.barrier()).rejects.toThrow("rank 0 called barrier after it had left");
  await second.allReduce([numbers[1]]);
  await before;
  expect(numbers.map(([sum]) => sum)).toEqual([3, 3]);
  await expect(second.barrier()).rejects.toThrow("rank 0 left while rank 1 waits in barrier; all ranks must make the same calls");
});

test("types, roots and sizes that cannot be are refused on every rank", async () => {
  const half = tensor(referenceDevice(), [1], [1], "bf16");
  await expect(runRanks(inProcess(2), (c) => c.allReduce([half]))).rejects.toThrow("expected f32 tensors and f64 numbers, got bf16 [1]; cast it to f32");
  await expect(runRanks(inProcess(2), (c) => c.broadcast([half], 2))).rejects.toThrow("broadcast: expected a root from 0 to 1, got 2");
  for (const size of [0, -1, 1.5, NaN]) expect(() => inProcess(size)).toThrow(`inProcess: expected a whole number of ranks from 1 on, got ${size}`);
});

import { concat, disposeTree, pullback, scope, slice, tensor, type Device, type Tensor } from "@danu/tensor";
import { expectClose, gradcheck, hostIntegers, hostTensor, seeds, times, upload } from "@danu/testing";
import fc from "fast-check";
import { afterAll, afterEach, describe, expect, test } from "vitest";

import { attention, rope, ropeTable, type AttentionOptions } from "../src/index.ts";
import { deviceNames, devices } from "./devices.ts";

const sizes = fc.record({
  B: fc.integer({ min: 1, max: 4 }),
  T: fc.integer({ min: 1, max: 40 }),
  G: fc.integer({ min: 1, max: 2 }),
  group: fc.integer({ min: 1, max: 3 }),
  D: fc.constantFrom(4, 5, 16, 80),
  seed: seeds,
});

interface Sizes {
  readonly B: number;
  readonly T: number;
  readonly G: number;
  readonly group: number;
  readonly D: number;
  readonly seed: number;
}

function inputs(device: Device, { B, T, G, group, D, seed }: Sizes): readonly [Tensor, Tensor, Tensor] {
  return [
    upload(device, hostTensor("f32", [B, T, G * group, D], seed)),
    upload(device, hostTensor("f32", [B, T, G, D], seed + 1)),
    upload(device, hostTensor("f32", [B, T, G, D], seed + 2)),
  ];
}

/** Output and gradients, from a fixed gradient of the output. */
function results(q: Tensor, k: Tensor, v: Tensor, g: Tensor, options: AttentionOptions = {}): readonly Tensor[] {
  const { y, pull } = pullback((...x) => [attention(x[0]!, x[1]!, x[2]!, options)] as const, [q, k, v]);
  return [y[0], ...pull([g]).map((gradient) => gradient!)];
}

describe.each(deviceNames)("on %s", (deviceName) => {
  const device = devices[deviceName]();
  afterEach(() => expect(device.liveBuffers).toBe(0));
  afterAll(() => device[Symbol.dispose]());

  async function valuesOf(f: () => readonly Tensor[]): Promise<ArrayLike<number>[]> {
    const tensors = scope(f);
    const values = await Promise.all(tensors.map((x) => x.read()));
    disposeTree(tensors);
    return values;
  }

  test("a window as long as the text is no window, and document starts of 0 are no documents", async () => {
    await fc.assert(
      fc.asyncProperty(sizes, fc.nat({ max: 50 }), async (size, more) => {
        const of = (options: AttentionOptions) => (): readonly Tensor[] => {
          const [q, k, v] = inputs(device, size);
          return results(q, k, v, upload(device, hostTensor("f32", q.shape, 9)), options);
        };
        const plain = await valuesOf(of({}));
        expect(await valuesOf(of({ slidingWindow: size.T + more }))).toEqual(plain);
        using documentStart = tensor(device, new Int32Array(size.B * size.T), [size.B, size.T], "i32");
        expect(await valuesOf(of({ documentStart }))).toEqual(plain);
      }),
      times(12),
    );
  });

  test("a row of documents equals the documents in rows of their own, forward and backward", async () => {
    const lengths = fc.array(fc.integer({ min: 1, max: 14 }), { minLength: 1, maxLength: 4 });
    await fc.assert(
      fc.asyncProperty(sizes, lengths, fc.constantFrom(null, 1, 5), async (size, documents, slidingWindow) => {
        const T = documents.reduce((sum, length) => sum + length, 0);
        const starts = documents.map((_, i) => documents.slice(0, i).reduce((sum, length) => sum + length, 0));
        const packed = { ...size, B: 1, T };
        const joined = await valuesOf(() => {
          const [q, k, v] = inputs(device, packed);
          const first = documents.flatMap((length, i) => Array.from({ length }, () => starts[i]!));
          const documentStart = tensor(device, first, [1, T], "i32");
          return results(q, k, v, upload(device, hostTensor("f32", q.shape, 9)), { slidingWindow, documentStart });
        });
        const apart = await valuesOf(() => {
          const [q, k, v] = inputs(device, packed);
          const g = upload(device, hostTensor("f32", q.shape, 9));
          const parts = documents.map((length, i) => {
            const part = (x: Tensor): Tensor => slice(x, 1, starts[i]!, starts[i]! + length);
            return results(part(q), part(k), part(v), part(g), { slidingWindow });
          });
          return [0, 1, 2, 3].map((at) =>
            concat(
              parts.map((part) => part[at]!),
              1,
            ),
          );
        });
        joined.forEach((values, i) => expectClose(values, apart[i]!, { rtol: 1e-4, atol: 2e-5 }));
      }),
      times(12),
    );
  });

  test("rows of a batch do not see each other: reversing them reverses the results, to the bit", async () => {
    await fc.assert(
      fc.asyncProperty(sizes, async (size) => {
        const backwards = (x: Tensor): Tensor =>
          concat(
            Array.from({ length: size.B }, (_, b) => slice(x, 0, size.B - 1 - b, size.B - b)),
            0,
          );
        const all = (turn: (x: Tensor) => Tensor) => (): readonly Tensor[] => {
          const [q, k, v] = inputs(device, size);
          const g = upload(device, hostTensor("f32", q.shape, 9));
          return results(turn(q), turn(k), turn(v), turn(g)).map(turn);
        };
        expect(await valuesOf(all(backwards))).toEqual(await valuesOf(all((x) => x)));
      }),
      times(12),
    );
  });

  const rotations = fc.record({
    B: fc.integer({ min: 1, max: 3 }),
    T: fc.integer({ min: 1, max: 9 }),
    H: fc.integer({ min: 1, max: 3 }),
    D: fc.constantFrom(2, 6, 16, 80),
    seed: seeds,
  });

  test("rope turns back what it turned, and keeps the length of every pair", async () => {
    await fc.assert(
      fc.asyncProperty(rotations, async ({ B, T, H, D, seed }) => {
        const x = hostTensor("f32", [B, T, H, D], seed);
        const [turned, back] = await valuesOf(() => {
          const table = ropeTable(device, { positions: 50, headDim: D, theta: 10_000 });
          const positions = upload(device, hostIntegers("i32", [B, T], seed, 50));
          const { y, pull } = pullback((h) => [rope(h!, table, positions)] as const, [upload(device, x)]);
          // The gradient of a rotation is the rotation back.
          return [y[0], pull([y[0]])[0]!];
        });
        expectClose(back!, x.values, { rtol: 1e-6, atol: 1e-6 });
        const pairs = (values: ArrayLike<number>): number[] =>
          Array.from({ length: values.length / 2 }, (_, i) => {
            const at = Math.floor(i / (D / 2)) * D + (i % (D / 2));
            return Math.hypot(values[at]!, values[at + D / 2]!);
          });
        expectClose(pairs(turned!), pairs(x.values), { rtol: 1e-6, atol: 1e-7 });
      }),
      times(15),
    );
  });

  test("scores after rope depend on the distance of query and key alone", async () => {
    await fc.assert(
      fc.asyncProperty(rotations, fc.nat({ max: 30 }), fc.nat({ max: 60 }), async ({ D, seed }, distance, shift) => {
        const scoreAt = async (key: number): Promise<number> => {
          const [q, k] = await valuesOf(() => {
            const table = ropeTable(device, { positions: 100, headDim: D, theta: 10_000 });
            const at = (position: number): Tensor => tensor(device, [position], [1, 1], "i32");
            const [query, turnedKey] = [
              hostTensor("f32", [1, 1, 1, D], seed),
              hostTensor("f32", [1, 1, 1, D], seed + 1),
            ];
            return [
              rope(upload(device, query), table, at(key + distance)),
              rope(upload(device, turnedKey), table, at(key)),
            ];
          });
          return Array.from(q!).reduce((sum, value, d) => sum + value * k![d]!, 0);
        };
        expect(Math.abs((await scoreAt(0)) - (await scoreAt(shift)))).toBeLessThan(1e-5 * D);
      }),
      times(15),
    );
  });
});

describe("gradients, against central differences in double precision", () => {
  const shapes = [
    hostTensor("f32", [2, 4, 2, 3], 1),
    hostTensor("f32", [2, 6, 1, 3], 2),
    hostTensor("f32", [2, 6, 1, 3], 3),
  ];

  test.each([{}, { slidingWindow: 2 }, { keyLength: 5 }])("attention %o", async (options) => {
    await gradcheck((q, k, v) => attention(q!, k!, v!, options), shapes, { rtol: 1e-5, atol: 1e-7 });
  });

  test("attention over documents", async () => {
    const documentStart = { shape: [2, 6], dtype: "i32", values: [0, 0, 0, 3, 3, 3, 0, 1, 1, 1, 4, 4] } as const;
    await gradcheck((q, k, v, start) => attention(q!, k!, v!, { documentStart: start! }), [...shapes, documentStart], {
      rtol: 1e-5,
      atol: 1e-7,
    });
  });

  test("rope", async () => {
    const positions = { shape: [1, 3], dtype: "i32", values: [0, 7, 3] } as const;
    await gradcheck(
      (x, p) => rope(x!, ropeTable(x!.device, { positions: 8, headDim: 4, theta: 100 }), p!),
      [hostTensor("f32", [1, 3, 2, 4], 4), positions],
    );
  });
});

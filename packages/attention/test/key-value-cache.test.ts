import { concat, disposeTree, scope, slice, tensor, type Device, type Tensor } from "@danu/tensor";
import { expectClose, hostTensor, seeds, times, upload } from "@danu/testing";
import fc from "fast-check";
import { afterAll, afterEach, describe, expect, test } from "vitest";

import { attention, KeyValueCache } from "../src/index.ts";
import { deviceNames, devices } from "./devices.ts";

interface Sizes {
  readonly B: number;
  readonly G: number;
  readonly group: number;
  readonly D: number;
  readonly seed: number;
}

const sizes: fc.Arbitrary<Sizes> = fc.record({
  B: fc.integer({ min: 1, max: 3 }),
  G: fc.integer({ min: 1, max: 2 }),
  group: fc.integer({ min: 1, max: 3 }),
  D: fc.constantFrom(3, 8, 20),
  seed: seeds,
});

/** The first positions of a text that is made of ranges. */
function firstOf(ranges: readonly (readonly [number, number])[], length: number): (readonly [number, number])[] {
  let left = length;
  return ranges.flatMap(([from, to]) => {
    const count = Math.min(left, to - from);
    left -= count;
    return count === 0 ? [] : [[from, from + count] as const];
  });
}

describe.each(deviceNames)("KeyValueCache on %s", (deviceName) => {
  const device = devices[deviceName]();
  afterEach(() => expect(device.liveBuffers).toBe(0));
  afterAll(() => device[Symbol.dispose]());

  function projections(on: Device, { B, G, group, D, seed }: Sizes, T: number): [q: Tensor, k: Tensor, v: Tensor] {
    const make = (heads: number, offset: number): Tensor =>
      upload(on, hostTensor("f32", [B, T, heads, D], seed + offset));
    return [make(G * group, 0), make(G, 1), make(G, 2)];
  }

  /** The text through a cache in pieces of these lengths. @param steps read single positions with `attendNext` */
  async function inPieces(
    size: Sizes,
    pieces: readonly number[],
    maxPositions: number,
    slidingWindow: number | null,
    steps = false,
  ): Promise<ArrayLike<number>> {
    const { B: batch, G: keyValueHeads, D: headDim } = size;
    using cache = new KeyValueCache(device, { batch, keyValueHeads, headDim, maxPositions, slidingWindow });
    const whole = scope(() => {
      const [q, k, v] = projections(
        device,
        size,
        pieces.reduce((sum, n) => sum + n, 0),
      );
      let at = 0;
      return concat(
        pieces.map((n) => {
          const part = (x: Tensor): Tensor => slice(x, 1, at, at + n);
          const o = steps && n === 1
            ? cache.attendNext(part(q), part(k), part(v), tensor(device, [cache.next()], [1], "i32"))
            : cache.attend(part(q), part(k), part(v));
          at += n;
          expect(cache.length).toBe(at);
          return o;
        }),
        1,
      );
    });
    const values = await whole.read();
    whole.dispose();
    return values;
  }

  async function atOnce(size: Sizes, T: number, slidingWindow: number | null): Promise<ArrayLike<number>> {
    const o = scope(() => attention(...projections(device, size, T), { slidingWindow }));
    const values = await o.read();
    o.dispose();
    return values;
  }

  test("pieces of any length give what the whole text gives, for windows below and beyond the capacity", async () => {
    const pieces = fc
      .array(
        fc.oneof({ weight: 3, arbitrary: fc.constant(1) }, { weight: 1, arbitrary: fc.integer({ min: 0, max: 30 }) }),
        { minLength: 1, maxLength: 12 },
      )
      .filter((lengths) => lengths.some((n) => n > 0));
    const windows = fc.constantFrom(null, 1, 2, 3, 7, 20, 1000);
    await fc.assert(
      fc.asyncProperty(
        sizes,
        pieces,
        windows,
        fc.constantFrom(0, 1, 50),
        fc.boolean(),
        async (size, lengths, slidingWindow, spare, steps) => {
          const T = lengths.reduce((sum, n) => sum + n, 0);
          expectClose(await inPieces(size, lengths, T + spare, slidingWindow, steps), await atOnce(size, T, slidingWindow), {
            rtol: 1e-5,
            atol: 1e-5,
          });
        },
      ),
      times(40),
    );
  });

  test.each([false, true])("token by token through a text of many windows; by the same work each time: %s", async (steps) => {
    const size = { B: 2, G: 1, group: 2, D: 8, seed: 5 };
    const values = await inPieces(
      size,
      Array.from({ length: 41 }, () => 1),
      41,
      4,
      steps,
    );
    expectClose(values, await atOnce(size, 41, 4), { rtol: 1e-5, atol: 1e-5 });
  });

  test("a prompt of many windows at once", async () => {
    const size = { B: 2, G: 2, group: 1, D: 8, seed: 6 };
    expectClose(await inPieces(size, [67, 1, 20], 88, 3), await atOnce(size, 88, 3), { rtol: 1e-5, atol: 1e-5 });
  });

  test("back at any position, another text goes on as if nothing else had been there", async () => {
    const steps = fc.array(
      fc.record({ back: fc.oneof(fc.integer({ min: 0, max: 6 }), fc.nat({ max: 60 })), append: fc.integer({ min: 1, max: 12 }) }),
      { minLength: 1, maxLength: 10 },
    );
    await fc.assert(
      fc.asyncProperty(steps, fc.constantFrom(null, 1, 2, 4, 9, 30), seeds, async (all, slidingWindow, seed) => {
        const size = { B: 1, G: 1, group: 2, D: 8, seed };
        using cache = new KeyValueCache(device, { batch: 1, keyValueHeads: 1, headDim: 8, maxPositions: 200, slidingWindow });
        const source = projections(device, size, all.reduce((sum, { append }) => sum + append, 0));
        // The text so far, as parts of the source; what was taken back is never taken again.
        let [taken, parts] = [0, [] as (readonly [number, number])[]];
        for (const { back, append } of all) {
          const length = Math.max(0, cache.length - back);
          const kept = cache.rewind(length);
          expect(kept === length || (kept === 0 && slidingWindow !== null)).toBe(true);
          parts = [...firstOf(parts, kept), [taken, taken + append]];
          taken += append;
          const [cached, whole] = scope(() => {
            const of = (x: Tensor, ranges: typeof parts): Tensor => concat(ranges.map(([from, to]) => slice(x, 1, from, to)), 1);
            const [q, k, v] = source.map((x) => of(x, parts.slice(-1))) as [Tensor, Tensor, Tensor];
            const [Q, K, V] = source.map((x) => of(x, parts)) as [Tensor, Tensor, Tensor];
            return [cache.attend(q, k, v), slice(attention(Q, K, V, { slidingWindow }), 1, kept, kept + append)] as const;
          });
          expect(cache.length).toBe(kept + append);
          expectClose(await cached.read(), await whole.read(), { rtol: 1e-5, atol: 1e-5 });
          disposeTree([cached, whole]);
        }
        expect(() => cache.rewind(cache.length + 1)).toThrow("expected to go back to one of");
        disposeTree(source);
      }),
      times(60),
    );
  });

  test("with a window the memory does not grow with the text", () => {
    const bytes = (maxPositions: number): number => {
      using _ = new KeyValueCache(device, { batch: 1, keyValueHeads: 1, headDim: 4, maxPositions, slidingWindow: 8 });
      return device.liveBytes;
    };
    expect(bytes(1000)).toBe(bytes(1_000_000_000));
    expect(bytes(10)).toBeLessThan(bytes(1000));
  });

  test("more positions than it was made for are refused, and the cache is as before", async () => {
    using cache = new KeyValueCache(device, {
      batch: 1,
      keyValueHeads: 1,
      headDim: 8,
      maxPositions: 5,
      slidingWindow: 2,
    });
    const size = { B: 1, G: 1, group: 1, D: 8, seed: 7 };
    const [q, k, v] = projections(device, size, 6);
    const part = (from: number, to: number): Tensor =>
      scope(() => {
        const of = (x: Tensor): Tensor => slice(x, 1, from, to);
        return cache.attend(of(q), of(k), of(v));
      });
    const first = part(0, 4);
    expect(() => part(4, 6)).toThrow("key-value cache: 4 + 2 positions exceed its 5; start a new one");
    expect(cache.length).toBe(4);
    const last = part(4, 5);
    const whole = await atOnce(size, 6, 2);
    expectClose(await first.read(), Array.from(whole).slice(0, 32), { rtol: 1e-5, atol: 1e-5 });
    expectClose(await last.read(), Array.from(whole).slice(32, 40), { rtol: 1e-5, atol: 1e-5 });
    disposeTree([q, k, v, first, last]);
  });

  test("bf16 keys and values serve bf16 queries", async () => {
    using cache = new KeyValueCache(device, { batch: 1, keyValueHeads: 1, headDim: 8, maxPositions: 5, dtype: "bf16" });
    const [q, k, v] = [1, 2, 3].map((seed) => upload(device, hostTensor("bf16", [1, 5, 1, 8], seed))) as [
      Tensor,
      Tensor,
      Tensor,
    ];
    const [cached, whole] = scope(() => [cache.attend(q, k, v), attention(q, k, v)] as const);
    expect(cached.dtype).toBe("bf16");
    expect(await cached.read()).toEqual(await whole.read());
    disposeTree([q, k, v, cached, whole]);
  });
});

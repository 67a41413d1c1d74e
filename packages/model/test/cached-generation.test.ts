import { cpuDevice } from "@danu/cpu";
import { cast, disposeTree, keep, mapTree, referenceDevice, scope, slice, tensor, type Device, type Tensor } from "@danu/tensor";
import { expectClose, seeds, times } from "@danu/testing";
import fc from "fast-check";
import { afterAll, afterEach, describe, expect, test } from "vitest";

import {
  Decoder, generate, generateBatch, initialize, preset, TextSession,
  type DecoderConfig, type DecoderInput, type DecoderParameters, type GenerateOptions,
} from "../src/index.ts";

const devices: Record<string, () => Device> = { reference: () => referenceDevice(), cpu: () => cpuDevice({ threads: 2 }) };
const vocabularySize = 61;
const maxPositions = 96;

function configOf(slidingWindow: number | null): DecoderConfig {
  return preset("nano", {
    hiddenSize: 32, intermediateSize: 48, layers: 2, heads: 4, keyValueHeads: 2, headDim: 8,
    vocabularySize, maxPositions, initializerRange: 0.3, slidingWindow,
  });
}

const windows = fc.constantFrom(null, 1, 2, 5, 13, 40, 200);
const dtypes = fc.constantFrom("f32" as const, "bf16" as const);
const textsUpTo = (maxLength: number): fc.Arbitrary<number[]> => (
  fc.array(fc.integer({ min: 0, max: vocabularySize - 1 }), { minLength: 1, maxLength })
);

/** How far scores of the same tokens may be apart: sums of products are cut otherwise for one row than for many. */
const rounding = { f32: { rtol: 1e-4, atol: 1e-4 }, bf16: { rtol: 0.05, atol: 0.25 } };

describe.each(Object.keys(devices))("generation with a cache on %s", (deviceName) => {
  const device = devices[deviceName]!();
  afterEach(() => expect(device.liveBuffers).toBe(0));
  afterAll(() => device[Symbol.dispose]());

  /** Calls `body` with a random model. */
  async function withModel<T>(
    slidingWindow: number | null, dtype: "f32" | "bf16", seed: number,
    body: (decoder: Decoder, params: DecoderParameters) => Promise<T>,
  ): Promise<T> {
    const config = configOf(slidingWindow);
    const params = scope(() => (
      keep(mapTree(initialize(device, config, seed), (x) => {
        const narrow = cast(x, dtype);
        if (narrow !== x) x.dispose();
        return narrow;
      })) as DecoderParameters
    ));
    try {
      using decoder = new Decoder(device, config);
      return await body(decoder, params);
    } finally {
      disposeTree(params);
    }
  }

  function inputOf(ids: readonly number[], from = 0): DecoderInput {
    const row = (values: readonly number[]): Tensor => tensor(device, values, [1, values.length], "i32");
    return { ids: row(ids), positions: row(ids.map((_, i) => from + i)), documentStart: null };
  }

  /** Scores after every token, computed at once. */
  async function wholeLogits(decoder: Decoder, params: DecoderParameters, ids: readonly number[]): Promise<ArrayLike<number>[]> {
    using logits = scope(() => cast(decoder.logits(params, inputOf(ids)), "f32"));
    const values = await logits.read();
    return ids.map((_, t) => values.subarray(t * vocabularySize, (t + 1) * vocabularySize));
  }

  async function collect(ids: AsyncIterable<number>): Promise<number[]> {
    const all: number[] = [];
    for await (const id of ids) all.push(id);
    return all;
  }

  test("scores in pieces of any length are those of the whole text, for windows below and beyond it", async () => {
    await fc.assert(fc.asyncProperty(windows, dtypes, seeds, textsUpTo(70), fc.array(fc.integer({ min: 1, max: 30 })), async (
      slidingWindow, dtype, seed, ids, lengths,
    ) => {
      await withModel(slidingWindow, dtype, seed, async (decoder, params) => {
        const expected = await wholeLogits(decoder, params, ids);
        const caches = decoder.caches(1, ids.length, dtype);
        for (let from = 0, piece = 0; from < ids.length; piece++) {
          const to = Math.min(ids.length, from + (lengths[piece] ?? 1));
          using logits = scope(() => {
            const all = decoder.logits(params, inputOf(ids.slice(from, to), from), caches);
            return cast(slice(all, 1, to - from - 1, to - from), "f32");
          });
          expectClose(await logits.read(), expected[to - 1]!, rounding[dtype]);
          from = to;
        }
        for (const cache of caches) cache[Symbol.dispose]();
      });
    }), times(25));
  });

  test("a greedy text takes the best token by scores computed anew for every token, far beyond the window", async () => {
    await fc.assert(fc.asyncProperty(windows, dtypes, seeds, textsUpTo(50), async (slidingWindow, dtype, seed, prompt) => {
      await withModel(slidingWindow, dtype, seed, async (decoder, params) => {
        const added = await collect(generate(decoder, params, prompt, { maxTokens: 45, temperature: 0 }));
        expect(added).toHaveLength(45);
        const text = [...prompt, ...added];
        const scores = await wholeLogits(decoder, params, text);
        const { atol, rtol } = rounding[dtype];
        added.forEach((id, i) => {
          const after = scores[prompt.length + i - 1]!;
          const best = Math.max(...Array.from(after));
          expect(after[id]!).toBeGreaterThanOrEqual(best - 2 * (atol + rtol * Math.abs(best)));
        });
      });
    }), times(20));
  });

  const options: fc.Arbitrary<GenerateOptions> = fc.record({
    maxTokens: fc.integer({ min: 0, max: 20 }),
    temperature: fc.constantFrom(0, 0.7),
    stopIds: fc.array(fc.integer({ min: 0, max: vocabularySize - 1 }), { maxLength: 2 }),
    seed: seeds,
  });

  test("texts that share beginnings continue as each would alone, and only what is new is read", async () => {
    const continued = fc.record({ keep: fc.nat({ max: 60 }), more: textsUpTo(12), options });
    await fc.assert(fc.asyncProperty(windows, seeds, fc.array(continued, { minLength: 1, maxLength: 5 }), async (
      slidingWindow, seed, turns,
    ) => {
      await withModel(slidingWindow, "f32", seed, async (decoder, params) => {
        using session = new TextSession(decoder, params);
        let text: number[] = [];
        for (const turn of turns) {
          const before = text;
          const prompt = [...text.slice(0, turn.keep), ...turn.more].slice(0, maxPositions);
          const added = await collect(session.generate(prompt, turn.options));
          expect(added).toEqual(await collect(generate(decoder, params, prompt, turn.options)));
          const shared = prompt.findIndex((id, i) => id !== before[i]);
          // The last token of the text before was chosen, but not yet read.
          if (slidingWindow === null && turn.options.maxTokens > 0 && prompt.length < maxPositions && before.length > 0) {
            const most = Math.min(before.length - 1, prompt.length - 1);
            expect(session.reused).toBe(shared < 0 ? most : Math.min(shared, most));
          }
          text = [...prompt, ...added];
        }
      });
    }), times(20));
  });

  test("the texts of a batch are those that each prompt gives alone, whatever goes together", async () => {
    const rows = fc.array(fc.record({ prompt: textsUpTo(40), options }), { maxLength: 6 });
    await fc.assert(fc.asyncProperty(windows, dtypes, seeds, rows, fc.integer({ min: 1, max: 5 }), async (
      slidingWindow, dtype, seed, prompts, together,
    ) => {
      await withModel(slidingWindow, dtype, seed, async (decoder, params) => {
        const texts = new Map<number, readonly number[]>();
        for await (const { index, ids, end } of generateBatch(decoder, params, prompts, together)) {
          texts.set(index, ids);
          expect(end).toBe(ids.length === prompts[index]!.options.maxTokens ? "length" : "stop");
        }
        expect(texts.size).toBe(prompts.length);
        for (const [i, { prompt, options: each }] of prompts.entries()) {
          expect(texts.get(i)).toEqual(await collect(generate(decoder, params, prompt, each)));
        }
      });
    }), times(20));
  });

  test("a text ends with its reason, and a batch that is left early leaves nothing behind", async () => {
    await withModel(5, "f32", 1, async (decoder, params) => {
      const endOf = async (length: number, each: GenerateOptions): Promise<unknown> => {
        const ids = generate(decoder, params, Array.from({ length }, (_, i) => i % 7), each);
        for (;;) {
          const next = await ids.next();
          if (next.done === true) return next.value;
        }
      };
      const stopIds = Array.from({ length: vocabularySize }, (_, id) => id);
      expect(await endOf(3, { maxTokens: 4 })).toBe("length");
      expect(await endOf(3, { maxTokens: 4, stopIds })).toBe("stop");
      expect(await endOf(maxPositions - 2, { maxTokens: 4 })).toBe("context");
      expect(await endOf(3, { maxTokens: 4, signal: AbortSignal.abort() })).toBe("interrupt");
      const prompts = [3, 4, 5].map((id) => ({ prompt: [id], options: { maxTokens: id, temperature: 0 } }));
      for await (const { index } of generateBatch(decoder, params, prompts, 3)) {
        expect(index).toBe(0);
        break;
      }
    });
  });
});

import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { counting, streamOf } from "../../test/support.ts";
import type { TokenStream } from "../shards/token-stream.ts";
import { createSampler, type SamplerOptions, type SamplerState } from "./sampler.ts";

const plan = { seed: 7, tokensPerBatch: 64, stages: [{ tokens: 640, sequenceLength: 8 }] };
const danube = [
  { tokens: 640, sequenceLength: 8 },
  { tokens: 200, sequenceLength: 16 },
  { tokens: 128, sequenceLength: 32 },
];
const start = ({ start }: { readonly start: number }): number => start;

function stream(tokens: number, documentLength: number = 25): TokenStream {
  const ids = counting(tokens);
  return streamOf(
    Array.from({ length: Math.ceil(tokens / documentLength) }, (_, d) =>
      ids.slice(d * documentLength, (d + 1) * documentLength),
    ),
    7,
  );
}

describe("the order", () => {
  test("takes every window once in a pass, and in another order in the next", () => {
    const data = stream(8 * 50 + 3);
    const stages = [{ tokens: 8 * 150, sequenceLength: 8 }];
    const sampler = createSampler({ data, seed: 1, tokensPerBatch: 8, stages });
    const passes = [0, 1, 2].map((pass) =>
      Array.from({ length: 50 }, (_, i) => sampler.windows(pass * 50 + i)).flat().map(start),
    );
    const inOrder = Array.from({ length: 50 }, (_, i) => i * 8);
    for (const pass of passes) expect([...pass].sort((a, b) => a - b)).toEqual(inOrder);
    expect(new Set([...passes, inOrder].map(String)).size).toBe(4);
  });

  test("changes with the seed and with nothing else", () => {
    const data = stream(1000);
    const order = (options: Partial<SamplerOptions>): string =>
      JSON.stringify(createSampler({ data, ...plan, ...options }).windows(3).map(start));
    expect(order({})).toBe(order({ documentMask: false }));
    expect(order({})).toBe(order({ stages: [{ tokens: 6400, sequenceLength: 8 }] }));
    expect(order({})).not.toBe(order({ seed: 8 }));
  });

  test("goes on exactly from any step, through JSON, in a new sampler", () => {
    const data = stream(3000);
    const whole = createSampler({ data, ...plan, stages: danube });
    const batches = Array.from({ length: whole.steps }, (_, step) => whole.batch(step));
    fc.assert(
      fc.property(fc.nat(whole.steps - 1), (step) => {
        const state = JSON.parse(JSON.stringify(whole.stateAt(step))) as SamplerState;
        const resumed = createSampler({ data, ...plan, stages: danube });
        for (let at = resumed.stepOf(state); at < resumed.steps; at++) expect(resumed.batch(at)).toEqual(batches[at]);
      }),
      { numRuns: 30 },
    );
    expect(whole.stepOf(whole.stateAt(whole.steps))).toBe(whole.steps);
  });

  test.each([1, 2, 4, 8])("is the same for %i ranks and any accumulation", (ranks) => {
    const data = stream(2000);
    const sampler = createSampler({ data, ...plan });
    for (const step of [0, 5, 9]) {
      const whole = sampler.windows(step).map(start);
      const parts = Array.from({ length: ranks }, (_, rank) => {
        const own = sampler.windows(step, { rank, ranks }).map(start);
        const pieces = own.flatMap((_, first) => sampler.windows(step, { rank, ranks, first, count: 1 }).map(start));
        expect(pieces).toEqual(own);
        expect(sampler.windows(step, { rank, ranks, first: own.length })).toEqual([]);
        return own;
      });
      expect(whole.map((_, row) => parts[row % ranks]![Math.floor(row / ranks)])).toEqual(whole);
    }
  });
});

describe("stages", () => {
  test("keep the tokens of a batch and have their own lengths and shuffles", () => {
    const data = stream(8 * 32 * 4 + 1);
    const sampler = createSampler({ data, seed: 1, tokensPerBatch: 64, stages: danube });
    expect(sampler.stages).toEqual([
      { index: 0, sequenceLength: 8, sequences: 8, firstStep: 0, steps: 10 },
      { index: 1, sequenceLength: 16, sequences: 4, firstStep: 10, steps: 4 },
      { index: 2, sequenceLength: 32, sequences: 2, firstStep: 14, steps: 2 },
    ]);
    expect([9, 10, 13, 14, 15].map((step) => sampler.batch(step).sequenceLength)).toEqual([8, 16, 16, 32, 32]);
    for (let step = 0; step < sampler.steps; step++) expect(sampler.batch(step).ids).toHaveLength(64);
  });

  test("of the same length do not repeat each other's order", () => {
    const stages = [plan.stages[0]!, plan.stages[0]!];
    const sampler = createSampler({ data: stream(1000), ...plan, stages });
    expect(sampler.windows(0).map(start)).not.toEqual(sampler.windows(10).map(start));
  });

  test("may grow at the end without losing a saved place, and not otherwise", () => {
    const data = stream(3000);
    const state = createSampler({ data, ...plan, stages: danube }).stateAt(12);
    const longer = danube.map((stage, i) => (i === 0 ? stage : { ...stage, tokens: stage.tokens * 2 }));
    expect(createSampler({ data, ...plan, stages: longer }).stepOf(state)).toBe(12);
    const refuses = (options: Partial<SamplerOptions>, message: RegExp): void => {
      const sampler = createSampler({ data, ...plan, stages: danube, ...options });
      expect(() => sampler.stepOf(state)).toThrow(message);
    };
    refuses({ seed: 8 }, /the saved run had seed 7, this one has 8/);
    refuses({ tokensPerBatch: 128 }, /the saved run had tokensPerBatch 64/);
    refuses({ data: stream(3001) }, /the saved run had data/);
    refuses({ stages: danube.slice(0, 1) }, /token 768 is not the start of a batch of this plan/);
    refuses({ stages: [{ tokens: 704, sequenceLength: 8 }, danube[1]!] }, /the saved run had stage/);
  });
});

describe("a mixture", () => {
  test("draws from its sources by weight, each in its own shuffled passes", () => {
    const [a, b] = [stream(8 * 40 + 1), stream(8 * 30 + 1, 11)];
    const sampler = createSampler({
      data: [{ stream: a, weight: 3 }, { stream: b, weight: 1 }],
      seed: 1,
      tokensPerBatch: 8 * 64,
      stages: [{ tokens: 8 * 4096, sequenceLength: 8 }],
    });
    const counts = new Map<TokenStream, Map<number, number>>([[a, new Map()], [b, new Map()]]);
    for (let step = 0; step < 64; step++) {
      for (const { stream: from, start: at } of sampler.windows(step)) {
        const seen = counts.get(from)!;
        seen.set(at, (seen.get(at) ?? 0) + 1);
      }
    }
    const total = (seen: Map<number, number>): number => [...seen.values()].reduce((x, y) => x + y, 0);
    expect([total(counts.get(a)!), total(counts.get(b)!)]).toEqual([3072, 1024]);
    for (const seen of counts.values()) {
      const times = [...seen.values()];
      expect(Math.max(...times) - Math.min(...times)).toBeLessThanOrEqual(1);
    }
  });
});

describe("what cannot be sampled", () => {
  test.each<[string, Partial<SamplerOptions>, RegExp]>([
    ["a length that does not divide the batch", { tokensPerBatch: 60 }, /not a whole number of sequences of 8/],
    ["no stage", { stages: [] }, /expected at least one/],
    ["a stage without tokens", { stages: [{ tokens: 0, sequenceLength: 8 }] }, /stages\[0\]\.tokens: expected/],
    ["a broken length", { stages: [{ tokens: 8, sequenceLength: 1.5 }] }, /stages\[0\]\.sequenceLength: expected/],
    ["a negative seed", { seed: -1 }, /seed: expected/],
    ["no data", { data: [] }, /a mixture has 1 to 1024 sources/],
  ])("%s is refused", (_, options, message) => {
    expect(() => createSampler({ data: stream(100), ...plan, ...options })).toThrow(message);
  });

  test("a corpus shorter than one sequence is refused", () => {
    expect(() => createSampler({ data: stream(8), ...plan })).toThrow(
      "the training split has 8 tokens, a sequence of 8 needs 9; give more text or a shorter sequence length",
    );
    expect(createSampler({ data: stream(9), ...plan }).batch(0).rows).toBe(8);
    expect(() => createSampler({ data: streamOf([]), ...plan })).toThrow(/has 0 tokens/);
  });

  test("steps and ranks out of range are refused", () => {
    const sampler = createSampler({ data: stream(100), ...plan });
    for (const step of [-1, 10, 0.5, NaN]) expect(() => sampler.batch(step)).toThrow(/expected a step from 0 to 9/);
    expect(() => sampler.batch(0, { ranks: 3 })).toThrow(/8 sequences cannot be shared by 3 ranks/);
    expect(() => sampler.batch(0, { rank: 2, ranks: 2 })).toThrow(/rank: expected an integer from 0 to 1/);
    expect(() => sampler.batch(0, { first: 6, count: 3 })).toThrow(/count: expected an integer from 0 to 2/);
  });
});

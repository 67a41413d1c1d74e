import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { DataError } from "../data-error.ts";
import { packPairs, type PairExample } from "./pack-pairs.ts";
import type { TrainingExample } from "./pack-rows.ts";
import { createPackedSampler } from "./packed-sampler.ts";
import { createPairSampler, pairMicroBatches, type PairSamplerOptions } from "./pair-sampler.ts";

const sequences: fc.Arbitrary<TrainingExample> = fc
  .tuple(fc.integer({ min: 1, max: 9 }), fc.integer({ min: 1, max: 9 }), fc.nat(1000))
  .map(([prompt, answer, first]) => ({
    ids: Int32Array.from({ length: prompt + answer }, (_, i) => first + i),
    trained: Uint8Array.from({ length: prompt + answer }, (_, i) => (i < prompt ? 0 : 1)),
  }));
const pairs: fc.Arbitrary<readonly PairExample[]> = fc.array(fc.record({ chosen: sequences, rejected: sequences }), {
  minLength: 1,
  maxLength: 30,
});
const tokensOf = ({ chosen, rejected }: PairExample): number => chosen.ids.length + rejected.ids.length;

describe("packPairs", () => {
  test("every answer is a document whose trained targets bear its number, with no padding", () => {
    fc.assert(
      fc.property(pairs, fc.array(sequences, { maxLength: 3 }), (examples, more) => {
        const indices = examples.map((_, i) => examples.length - 1 - i);
        const batch = packPairs(examples, indices, more);
        const answers = [
          ...indices.map((index) => examples[index]!.chosen),
          ...indices.map((index) => examples[index]!.rejected),
          ...more,
        ];
        expect(batch.pairs).toBe(examples.length);
        expect(batch.sequenceLength).toBe(answers.reduce((sum, { ids }) => sum + ids.length, 0));
        for (const [segment, { ids, trained }] of answers.entries()) {
          const places = [...batch.segments.keys()].filter((t) => batch.segments[t] === segment);
          const wanted = [...ids.keys()].filter((t) => trained[t] === 1);
          expect(places.map((t) => batch.targets[t])).toEqual(wanted.map((t) => ids[t]));
          expect(places.map((t) => batch.positions[t])).toEqual(wanted.map((t) => t - 1));
        }
        const none = batch.targets.filter((_, t) => batch.segments[t] === -1);
        expect(none.every((target) => target === -100)).toBe(true);
      }),
    );
  });
});

describe("createPairSampler", () => {
  const options = fc.record({
    examples: pairs,
    pairsPerStep: fc.integer({ min: 1, max: 8 }),
    tokensPerMicroBatch: fc.integer({ min: 1, max: 60 }),
    seed: fc.nat(100),
  });

  test("a pass takes every pair once, in batches of the asked size, within the tokens of a micro-batch", () => {
    fc.assert(
      fc.property(options, (settings) => {
        const { examples, pairsPerStep, tokensPerMicroBatch } = settings;
        const sampler = createPairSampler({ ...settings, length: { epochs: 2 } });
        const perPass = Math.ceil(examples.length / pairsPerStep);
        expect(sampler.steps).toBe(2 * perPass);
        for (const pass of [0, 1]) {
          const steps = Array.from({ length: perPass }, (_, i) => sampler.microBatches(pass * perPass + i));
          expect(steps.flat(2).sort((a, b) => a - b)).toEqual([...examples.keys()]);
          const sizes = steps.map((step) => step.flat().length).sort((a, b) => b - a);
          expect(sizes.slice(0, -1).every((size) => size === pairsPerStep)).toBe(true);
          for (const microBatch of steps.flat()) {
            const tokens = microBatch.reduce((sum, index) => sum + tokensOf(examples[index]!), 0);
            expect(microBatch.length === 1 || tokens <= tokensPerMicroBatch).toBe(true);
          }
        }
      }),
    );
  });

  test("a pair goes with the same others in every pass, so that a reference computed once holds", () => {
    fc.assert(
      fc.property(options, (settings) => {
        const sampler = createPairSampler({ ...settings, length: { epochs: 3 } });
        const perPass = sampler.steps / 3;
        const groupsOf = (pass: number): string[] =>
          Array.from({ length: perPass }, (_, i) => sampler.microBatches(pass * perPass + i)).flat().map(String).sort();
        expect(groupsOf(0)).toEqual(sampler.all.map(String).sort());
        expect(groupsOf(1)).toEqual(groupsOf(0));
        expect(groupsOf(2)).toEqual(groupsOf(0));
      }),
    );
  });

  const some = fc.sample(pairs, { numRuns: 1, seed: 3 })[0]!;
  const base: PairSamplerOptions = {
    examples: some, pairsPerStep: 2, tokensPerMicroBatch: 30, length: { epochs: 1 }, seed: 5,
  };

  test("steps instead of passes, another order for another seed, and a state that only its own order takes", () => {
    const sampler = createPairSampler({ ...base, length: { steps: 50 } });
    expect(sampler.steps).toBe(50);
    expect(sampler.stepOf(JSON.parse(JSON.stringify(sampler.stateAt(7))) as ReturnType<typeof sampler.stateAt>)).toBe(7);
    const other = createPairSampler({ ...base, seed: 6 });
    expect(other.all.map(String)).not.toEqual(createPairSampler(base).all.map(String));
    for (const changed of [other, createPairSampler({ ...base, examples: some.slice(1) })]) {
      expect(() => changed.stepOf(sampler.stateAt(1))).toThrow(/cannot go on; resume with the saved settings/);
    }
    expect(() => sampler.microBatches(50)).toThrow(/expected a step from 0 to 49/);
  });

  test("nothing to train on, and settings out of range", () => {
    expect(() => createPairSampler({ ...base, examples: [] })).toThrow(DataError);
    expect(() => createPairSampler({ ...base, pairsPerStep: 0 })).toThrow(/pairsPerStep/);
    expect(() => createPairSampler({ ...base, length: { epochs: 0 } })).toThrow(/epochs: expected a number above 0/);
    expect(() => createPairSampler({ ...base, length: { steps: 0.5 } })).toThrow(/steps/);
    expect(pairMicroBatches(some, [], 10)).toEqual([]);
  });
});

test("conversations are trained for so many steps where that is asked", () => {
  const examples = [{ ids: Int32Array.of(1, 2, 3), trained: Uint8Array.of(0, 1, 1) }];
  const sampler = createPackedSampler({ examples, sequenceLength: 4, rowsPerStep: 2, length: { steps: 3 }, seed: 1, padId: 0 });
  expect(sampler.steps).toBe(3);
  expect(sampler.batch(2).tokens).toBe(4);
});

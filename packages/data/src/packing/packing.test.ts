import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { DataError } from "../data-error.ts";
import { bestFit } from "./best-fit.ts";
import { packRows, type TrainingExample } from "./pack-rows.ts";
import { createPackedSampler, type PackedSamplerOptions } from "./packed-sampler.ts";

const example = (ids: readonly number[], trained: readonly number[] = ids.map(() => 1)): TrainingExample => ({
  ids: Int32Array.from(ids),
  trained: Uint8Array.from(trained),
});

describe("bestFit", () => {
  test("TRL's example", () => {
    expect(bestFit([5, 2, 3, 1], 4)).toEqual([[0], [2, 3], [1]]);
  });

  test("every index once, no row too full, and no row that an earlier one had room for", () => {
    const lengths = fc.array(fc.integer({ min: 1, max: 80 }), { maxLength: 60 });
    fc.assert(
      fc.property(lengths, fc.integer({ min: 1, max: 70 }), (all, rowLength) => {
        const rows = bestFit(all, rowLength);
        expect(rows.flat().sort((a, b) => a - b)).toEqual(all.map((_, i) => i));
        const sizes = rows.map((row) => row.reduce((sum, i) => sum + Math.min(all[i]!, rowLength), 0));
        for (const size of sizes) expect(size).toBeLessThanOrEqual(rowLength);
        expect(rows).toEqual(byDefinition(all, rowLength));
      }),
    );
  });

  function byDefinition(all: readonly number[], rowLength: number): number[][] {
    const rows: { room: number; items: number[]; touched: number }[] = [];
    let clock = 0;
    const order = all.map((_, i) => i).sort((a, b) => all[b]! - all[a]! || a - b);
    for (const i of order) {
      const length = Math.min(all[i]!, rowLength);
      const fitting = rows.filter((row) => row.room >= length).sort((a, b) => a.room - b.room || a.touched - b.touched);
      const row = fitting[0] ?? { room: rowLength, items: [], touched: 0 };
      if (fitting[0] === undefined) rows.push(row);
      row.room -= length;
      row.items.push(i);
      row.touched = ++clock;
    }
    return rows.map((row) => row.items);
  }
});

test("packRows: targets, masks, documents, positions and padding", () => {
  const batch = packRows([[example([7, 8, 9], [0, 0, 1]), example([4, 5], [1, 1])], [example([1, 2, 3, 4, 5, 6, 7])]], 6, 0);
  const row = (values: Int32Array, i: number): number[] => [...values.subarray(6 * i, 6 * i + 6)];
  expect(row(batch.ids, 0)).toEqual([7, 8, 9, 4, 5, 0]);
  expect(row(batch.targets, 0)).toEqual([-100, 9, -100, 5, -100, -100]);
  expect(row(batch.documentStart, 0)).toEqual([0, 0, 0, 3, 3, 5]);
  expect(row(batch.positions, 0)).toEqual([0, 1, 2, 0, 1, 0]);
  expect(row(batch.ids, 1)).toEqual([1, 2, 3, 4, 5, 6]);
  expect(row(batch.targets, 1)).toEqual([2, 3, 4, 5, 6, -100]);
  expect(batch.tokens).toBe(2 + 5);
});

describe("createPackedSampler", () => {
  const examples = Array.from({ length: 23 }, (_, i) => example(Array.from({ length: 1 + (i * 7) % 11 }, (_x, t) => i * 20 + t)));
  const options: PackedSamplerOptions = { examples, sequenceLength: 12, rowsPerStep: 3, length: { epochs: 2 }, seed: 5, padId: 0 };

  test("every pass has every example once, in another order", () => {
    const sampler = createPackedSampler({ ...options, rowsPerStep: 1 });
    expect(sampler.steps).toBe(2 * sampler.rows);
    const passes = [0, 1].map((pass) => Array.from({ length: sampler.rows }, (_, i) => [...sampler.batch(pass * sampler.rows + i).ids]));
    expect(passes[0]).not.toEqual(passes[1]);
    expect(passes[0]!.map(String).sort()).toEqual(passes[1]!.map(String).sort());
    const seen = passes[0]!.flat().filter((id) => id % 20 === 0);
    for (const { ids } of examples) expect(seen).toContain(ids[0]);
    expect(sampler.fill).toBeGreaterThan(0.9);
  });

  test("slices make up the batch, and any step is computed directly", () => {
    const sampler = createPackedSampler(options);
    for (const step of [0, 1, sampler.steps - 1]) {
      const whole = sampler.batch(step);
      const parts = [sampler.batch(step, { first: 0, count: 1 }), sampler.batch(step, { first: 1 })];
      expect(parts.flatMap((part) => [...part.ids])).toEqual([...whole.ids]);
      expect(createPackedSampler(options).batch(step)).toEqual(whole);
    }
  });

  test("a state goes on where it was, and only in the same order", () => {
    const sampler = createPackedSampler(options);
    expect(sampler.stepOf(JSON.parse(JSON.stringify(sampler.stateAt(4))) as ReturnType<typeof sampler.stateAt>)).toBe(4);
    for (const other of [{ seed: 6 }, { rowsPerStep: 2 }, { examples: examples.slice(1) }, { sequenceLength: 14 }]) {
      expect(() => createPackedSampler({ ...options, ...other }).stepOf(sampler.stateAt(4))).toThrow(DataError);
    }
    expect(() => sampler.stepOf(sampler.stateAt(1000))).toThrow(/step/);
  });

  test("settings that make no order", () => {
    expect(() => createPackedSampler({ ...options, examples: [] })).toThrow(/at least one example/);
    expect(() => createPackedSampler({ ...options, length: { epochs: 0 } })).toThrow(/epochs/);
    expect(() => createPackedSampler(options).batch(1e6)).toThrow(/expected a step from 0/);
  });
});

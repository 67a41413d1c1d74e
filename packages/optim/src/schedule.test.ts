import { goldenJson } from "@danu/testing";
import fc from "fast-check";
import { expect, test } from "vitest";

import { schedule, type ScheduleOptions } from "./index.ts";

const kinds = ["cosine", "linear", "constant", "warmup-stable-decay"] as const;

const schedules: fc.Arbitrary<ScheduleOptions> = fc.record({
  kind: fc.constantFrom(...kinds), steps: fc.integer({ min: 1, max: 300 }),
  peak: fc.double({ min: 1e-6, max: 1, noNaN: true }), share: fc.double({ min: 0, max: 1, noNaN: true }), parts: fc.tuple(fc.nat(100), fc.nat(100), fc.nat(100)),
}).map(({ kind, steps, peak, share, parts: [a, b, c] }) => {
  const total = Math.max(1, a + b + c);
  const [warmup, decay] = [Math.floor((steps * a) / total), Math.floor((steps * b) / total)];
  return { kind, steps, peak, floor: peak * share, warmup, decay };
});

test("cosine with warmup is the schedule of the PyTorch run", () => {
  const { learningRates } = goldenJson("trajectory/trajectory.json") as { readonly learningRates: readonly number[] };
  const at = schedule({ kind: "cosine", peak: 0.01, floor: 0.001, warmup: 5, steps: 30 });
  learningRates.forEach((expected, i) => expect(at(i)).toBeCloseTo(expected, 14));
});

test("every schedule climbs to the peak, never rises again, and ends at the floor", () => {
  fc.assert(fc.property(schedules, (options) => {
    const { kind, steps, peak, floor = 0, warmup = 0, decay = 0 } = options;
    const rates = Array.from({ length: steps }, (_, step) => schedule(options)(step));
    const slack = peak * 1e-12;
    rates.forEach((rate, step) => {
      expect(rate).toBeGreaterThanOrEqual(Math.min(floor, (peak * (step + 1)) / Math.max(warmup, 1)) - slack);
      expect(rate).toBeLessThanOrEqual(peak + slack);
      if (step < warmup) expect(rate).toBeCloseTo((peak * (step + 1)) / warmup, 12);
      else if (step > warmup) expect(rate).toBeLessThanOrEqual(rates[step - 1]! + slack);
      if (kind === "warmup-stable-decay" && step >= warmup && step < steps - decay) expect(rate).toBe(peak);
    });
    const falls = kind !== "constant" && (kind === "warmup-stable-decay" ? decay > 0 : warmup < steps);
    expect(rates.at(-1)).toBeCloseTo(falls ? floor : peak, 12);
  }));
});

test("the shapes have their values half way", () => {
  const common = { peak: 1, floor: 0.2, steps: 20, warmup: 10 };
  expect(schedule({ kind: "cosine", ...common })(14)).toBeCloseTo(0.6, 14);
  expect(schedule({ kind: "linear", ...common })(14)).toBeCloseTo(0.6, 14);
  expect(schedule({ kind: "constant", ...common })(14)).toBe(1);
  expect(schedule({ kind: "warmup-stable-decay", ...common, decay: 4 })(17)).toBeCloseTo(0.6, 14);
  expect(schedule({ kind: "cosine", ...common })(12)).toBeCloseTo(0.2 + 0.8 * 0.5 * (1 + Math.cos(Math.PI * 0.3)), 14);
});

test("numbers that are no schedule are refused in one sentence", () => {
  const good = { kind: "cosine", peak: 1, floor: 0.1, steps: 10, warmup: 2 } as const;
  const bad: Partial<ScheduleOptions>[] = [
    { steps: 1.5 }, { warmup: -1 }, { warmup: 11 }, { warmup: 6, decay: 6 }, { floor: 2 }, { floor: -1 }, { peak: NaN },
    { peak: Infinity }, { steps: NaN },
  ];
  for (const change of bad) {
    expect(() => schedule({ ...good, ...change })).toThrow("schedule: expected whole numbers with warmup + decay ≤ steps");
  }
});

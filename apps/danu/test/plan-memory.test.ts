import { preset } from "@danu/model";
import { referenceDevice } from "@danu/tensor";
import fc from "fast-check";
import { describe, expect, test } from "vitest";

import type { OpenDevice } from "../src/cli/device.ts";
import { memoryText, planMemory } from "../src/run/plan-memory.ts";

const config = preset("danube-1.8b");
const settings = { dtype: "fp8", tokens: 16_384, recompute: false } as const;

/** A device with so much memory; `cuda` as a GPU would have it. */
function deviceOf(available: number | null, isGpu = false): OpenDevice {
  return { device: referenceDevice(), cpu: null, cuda: isGpu ? {} : null, availableBytes: () => available } as unknown as OpenDevice;
}

describe("the plan of a run's memory", () => {
  test("recomputes nothing where there is room, and everything where that is asked for", () => {
    expect(planMemory(config, settings, deviceOf(141e9)).recomputedBlocks).toBe(0);
    expect(planMemory(config, settings, deviceOf(null)).recomputedBlocks).toBe(0);
    expect(planMemory(config, { ...settings, recompute: true }, deviceOf(141e9)).recomputedBlocks).toBe(24);
  });

  test("recomputes as few blocks as fit, and says where that is not enough", () => {
    fc.assert(fc.property(fc.integer({ min: 1, max: 120 }), (gigabytes) => {
      const available = gigabytes * 1e9;
      const plan = planMemory(config, settings, deviceOf(available));
      const fits = plan.bytes <= available;
      expect(fits || plan.recomputedBlocks === 24).toBe(true);
      expect(memoryText(plan).includes("too much")).toBe(!fits);
      if (plan.recomputedBlocks > 0) {
        // One block fewer would not fit: the same model with room for it needs more.
        const roomier = planMemory(config, settings, deviceOf(plan.bytes + 1));
        expect(roomier.recomputedBlocks).toBeLessThanOrEqual(plan.recomputedBlocks);
        expect(planMemory(config, settings, deviceOf(null)).bytes).toBeGreaterThan(available);
      }
    }));
  });

  test("a GPU that cannot hold the run refuses it before the first step", () => {
    expect(() => planMemory(config, settings, deviceOf(24e9, true))).toThrow(
      /^cuda: expected a run that fits the 24.*that are free, got one of about .* with every block recomputed; use fewer --micro-batch-tokens than 16,384, or a smaller model$/,
    );
    expect(planMemory(config, settings, deviceOf(50e9, true)).recomputedBlocks).toBeGreaterThan(0);
  });
});

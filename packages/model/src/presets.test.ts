import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { ConfigError } from "./config.ts";
import { flopsPerToken, parameterCount, preset, presetNames } from "./presets.ts";

describe("presets", () => {
  it.each([
    ["nano", 6_253_824],
    ["small", 55_321_088],
    ["medium", 124_668_672],
    ["danube-1.8b", 1_831_201_280],
    ["danube2-1.8b", 1_831_201_280],
    ["danube3-500m", 513_590_784],
    ["danube3-4b", 3_961_839_360],
  ] as const)("%s has %i parameters", (name, count) => {
    expect(parameterCount(preset(name))).toBe(count);
  });

  it("covers every name, and counts a tied embedding once", () => {
    expect(presetNames).toHaveLength(7);
    const nano = preset("nano");
    expect(parameterCount(preset("nano", { tieEmbeddings: true }))).toBe(parameterCount(nano) - 4096 * 256);
  });

  it("takes changes and refuses wrong ones", () => {
    expect(preset("nano", { vocabularySize: 512 }).vocabularySize).toBe(512);
    expect(() => preset("nano", { keyValueHeads: 3 })).toThrow(
      /keyValueHeads: expected a divisor of the 8 attention heads/
    );
    expect(() => preset("toString")).toThrow(ConfigError);
    expect(() => preset("mini")).toThrow(/expected one of nano, small, .* got "mini"/);
  });
});

describe("flopsPerToken", () => {
  it("gives the published sums for Danube: 10.50 GFLOP of matrices and 0.75 to 2.64 of attention", () => {
    const config = preset("danube-1.8b");
    const matrices = 6 * (1_831_201_280 - 81_920_000 - 49 * 2560);
    for (const [length, gigaflops] of [
      [2048, 0.755],
      [4096, 1.51],
      [8192, 2.265],
      [16_384, 2.642],
    ] as const) {
      expect((flopsPerToken(config, length) - matrices) / 1e9).toBeCloseTo(gigaflops, 2);
    }
    expect(matrices / 1e9).toBeCloseTo(10.495, 2);
  });

  it("counts exactly the keys that each query sees", () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 300 }), fc.option(fc.integer({ min: 1, max: 400 })), (T, slidingWindow) => {
        const config = preset("nano", { slidingWindow });
        let keys = 0;
        for (let query = 0; query < T; query++) keys += Math.min(query + 1, slidingWindow ?? Infinity);
        const attention = 12 * 6 * 8 * 32 * (keys / T);
        expect(flopsPerToken(config, T)).toBeCloseTo(6 * (4_156_416 - 6 * 512 + 4096 * 256) + attention, 3);
      })
    );
  });
});

import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";

import { cpuDevice } from "@danu/cpu";
import { disposeTree, referenceDevice, type Device } from "@danu/tensor";
import fc from "fast-check";
import { describe, expect, test } from "vitest";

import { Decoder, generate, loadParameters, openModelFolder, Random, sample, type GenerateOptions } from "../src/index.ts";

const golden = fileURLToPath(new URL("../../testing/golden/decoder/", import.meta.url));

async function continueText(
  device: Device, name: string, prompt: readonly number[], options: GenerateOptions,
): Promise<number[]> {
  await using folder = await openModelFolder(`${golden}${name}`);
  const params = await loadParameters(device, folder.weights, folder.config);
  using decoder = new Decoder(device, folder.config, 64);
  const ids: number[] = [];
  for await (const id of generate(decoder, params, prompt, options)) ids.push(id);
  disposeTree(params);
  return ids;
}

const devices: Record<string, () => Device> = { reference: () => referenceDevice(), cpu: () => cpuDevice() };

describe.each(Object.keys(devices))("generate on %s", (deviceName) => {
  test.each(["mistral-window", "mistral-head-dim-80-theta-100000", "mistral-tied", "mistral-untied", "llama"])(
    "%s: the greedy text of transformers, with nothing left in memory", async (name) => {
      const { greedy } = JSON.parse(readFileSync(`${golden}${name}/case.json`, "utf8")) as {
        greedy: { promptIds: number[]; newIds: number[] };
      };
      using device = devices[deviceName]!();
      const options = { temperature: 0, maxTokens: greedy.newIds.length };
      expect(await continueText(device, name, greedy.promptIds, options)).toEqual(greedy.newIds);
      expect(device.liveBuffers).toBe(0);
    });

  test("equal seeds give equal texts, stop ids end them, and a wrong prompt is named", async () => {
    using device = devices[deviceName]!();
    const options = { maxTokens: 12, temperature: 1, topP: 0.9, seed: 5 };
    const text = await continueText(device, "llama", [3, 4], options);
    expect(await continueText(device, "llama", [3, 4], options)).toEqual(text);
    expect(await continueText(device, "llama", [3, 4], { ...options, stopIds: [text[4]!] })).toEqual(text.slice(0, text.indexOf(text[4]!)));
    await expect(continueText(device, "llama", [], options)).rejects.toThrow("at least one token");
    await expect(continueText(device, "llama", [51_000], options)).rejects.toThrow("got 51000");
    await expect(continueText(device, "llama", [1], { ...options, temperature: NaN })).rejects.toThrow("temperature");
  });
});

describe("sample", () => {
  const scores = fc.array(fc.double({ min: -20, max: 20, noNaN: true }), { minLength: 1, maxLength: 40 });

  test("takes the best token at temperature 0, with topK 1, and with a tiny topP", () => {
    fc.assert(fc.property(scores, fc.integer(), (values, seed) => {
      const best = Float32Array.from(values).reduce((top, x, i, all) => (x > all[top]! ? i : top), 0);
      for (const options of [{ temperature: 0 }, { topK: 1 }, { topP: 1e-9 }]) {
        expect(sample(Float32Array.from(values), [], options, new Random(seed))).toBe(best);
      }
    }));
  });

  test("never leaves the topK best, and draws in proportion to the probabilities", () => {
    const logits = Float32Array.of(Math.log(1), Math.log(2), Math.log(5), Math.log(2));
    const random = new Random(1);
    const counts = [0, 0, 0, 0];
    for (let i = 0; i < 20_000; i++) counts[sample(logits.slice(), [], {}, random)]!++;
    expect(counts.map((n) => Math.round(n / 200) / 10)).toEqual([1, 2, 5, 2].map((n) => expect.closeTo(n, 0) as number));
    for (let i = 0; i < 200; i++) expect([1, 2]).toContain(sample(logits.slice(), [], { topK: 2 }, random));
  });

  test("draws as a list of all tokens by rank would, cut by topK and then by topP", () => {
    const shares = fc.constantFrom(0.1, 0.5, 0.9, 0.999, 1);
    fc.assert(fc.property(scores, fc.nat({ max: 45 }), shares, fc.integer(), (values, topK, topP, seed) => {
      const logits = Float32Array.from(values, (x) => Math.round(x));
      const all = [...logits.keys()];
      // What cuts nothing off is drawn from in the order of the ids.
      const isWhole = (topK === 0 || topK >= all.length) && topP === 1;
      const ranked = isWhole ? all : all.sort((a, b) => logits[b]! - logits[a]! || a - b);
      const kept = ranked.slice(0, topK === 0 ? ranked.length : topK);
      const weights = kept.map((id) => Math.exp((logits[id]! - Math.max(...logits)) / 0.7));
      const sum = (some: readonly number[]): number => some.reduce((total, w) => total + w, 0);
      const enough = weights.findIndex((_, i) => sum(weights.slice(0, i + 1)) >= topP * sum(weights));
      const count = topP === 1 ? kept.length : enough + 1;
      let left = new Random(seed).uniform() * sum(weights.slice(0, count));
      const drawn = weights.slice(0, count).findIndex((w) => (left -= w) < 0);
      expect(sample(logits, [], { temperature: 0.7, topK, topP }, new Random(seed))).toBe(kept[drawn]);
    }), { numRuns: 500 });
  });

  test("the repetition penalty lowers seen tokens whatever their sign", () => {
    expect(sample(Float32Array.of(2, 1.9), [0], { temperature: 0, repetitionPenalty: 1.2 }, new Random(0))).toBe(1);
    expect(sample(Float32Array.of(-1, -1.1), [0], { temperature: 0, repetitionPenalty: 1.2 }, new Random(0))).toBe(1);
  });
});

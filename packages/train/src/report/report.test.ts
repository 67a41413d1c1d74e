import { readFile } from "node:fs/promises";
import { join } from "node:path";

import fc from "fast-check";
import { expect, test } from "vitest";

import { inFolder } from "../../test/toy.ts";
import type { MetricsRecord } from "../metrics.ts";
import { niceTicks, thin, type Point } from "./chart.ts";
import { escapeHtml, formatNumber, formatSeconds } from "./format.ts";
import { renderReport, writeReport } from "./report.ts";

function records(count: number, lossAt: (step: number) => number = (step) => 2 + 5 / step): MetricsRecord[] {
  return Array.from({ length: count }, (_, i) => ({
    step: i + 1, tokens: (i + 1) * 1000, loss: lossAt(i + 1), gradientNorm: 1, learningRate: 1e-3,
    tokensPerSecond: 5000, seconds: i, shareOfPeak: 0.5, ...(i % 50 === 49 ? { validationLoss: 3 } : {}),
  }));
}

test("the report shows figures, curves, samples and recipe, and asks the network for nothing", async () => {
  await inFolder(async (folder) => {
    const path = join(folder, "report.html");
    await writeReport(path, {
      title: "nano on novels", records: records(300), recipe: { steps: 300 },
      facts: [["preset", "nano"], ["parameters", 6_250_000]],
      samples: [{ prompt: "Once", text: " upon" }],
    });
    const html = await readFile(path, "utf8");
    const texts = [
      "nano on novels", "6.25M", "300k", "50.0 %", "upon", "&#34;steps&#34;: 300", "last validation loss", "4 min 59 s",
    ];
    for (const text of texts) expect(html).toContain(text);
    expect(html.match(/<svg/g)).toHaveLength(4);
    expect(html).not.toMatch(/https?:|src=|href=|url\(|@import|NaN|undefined|Infinity/);
    expect(html).toContain("default-src 'none'");
  });
});

test("what else is known of steps and held-out data has curves, from before the first step on", () => {
  const some = records(3).map((record) => ({
    ...record, metrics: { chosenReward: record.step / 4 }, validationMetrics: { chosenReward: record.step / 8 },
    ...(record.step === 1 ? { initialValidation: { loss: 0.6931, metrics: { chosenReward: -7.25 } } } : {}),
  }));
  const html = renderReport({ title: "t", records: some, recipe: null });
  expect(html.match(/<svg/g)).toHaveLength(5);
  expect(html).toContain("<b>Chosen reward</b>");
  for (const point of ["[0,&#34;0.6931&#34;]", "[0,&#34;-7.25&#34;]", "[3,&#34;0.375&#34;]"]) {
    expect(html.replaceAll("\"", "&#34;")).toContain(point);
  }
});

test("no given text is markup, in the page or in its data", () => {
  const attack = "</script><script>alert(1)</script><img src=x onerror='a()'>\"&";
  const html = renderReport({
    title: attack, records: records(3), recipe: { [attack]: attack }, facts: [[attack, attack]],
    samples: [{ prompt: attack, text: attack }],
  });
  expect(html).not.toContain("alert(1)</");
  expect(html).not.toContain("<img");
  fc.assert(fc.property(fc.string({ unit: "binary" }), (text) => !/[<>"']/.test(escapeHtml(text))));
});

test("a run without steps, of one step, of equal values and of NaN alone has a report; a NaN step is named", () => {
  for (const some of [[], records(1), records(200, () => 1), records(3, () => NaN), records(3, () => Infinity)]) {
    const html = renderReport({ title: "t", records: some, recipe: null });
    expect(html).not.toMatch(/d="[^"]*(NaN|Infinity)/);
    expect(html).not.toContain("undefined");
  }
  expect(renderReport({ title: "t", records: records(9, (step) => (step === 9 ? NaN : 1)), recipe: null }))
    .toContain("Step 9 had a loss of NaN");
  expect(renderReport({ title: "t", records: [], recipe: null })).toContain("No step was taken.");
});

test("a long run is drawn with few points that keep every spike, NaN included", () => {
  const spikes = fc.constantFrom(1e6, -1e6, NaN);
  fc.assert(fc.property(fc.integer({ min: 1, max: 20_000 }), fc.nat(), spikes, (count, where, spike) => {
    const points = Array.from({ length: count }, (_, i): Point => [i, i === where % count ? spike : Math.sin(i)]);
    const few = thin(points);
    expect(few.length).toBeLessThanOrEqual(1000);
    expect(few.some(([, y]) => Object.is(y, spike))).toBe(true);
    expect(few.every(([x], i) => i === 0 || x > few[i - 1]![0])).toBe(true);
  }), { numRuns: 50 });
});

test("ticks are round, cover the range and are few", () => {
  const size = fc.double({ min: 1e-6, max: 1e9, noNaN: true });
  fc.assert(fc.property(fc.double({ min: -1e6, max: 1e6, noNaN: true }), size, (low, width) => {
    fc.pre(width > Math.abs(low) * 1e-6);
    const ticks = niceTicks(low, low + width, 5);
    const slack = width * 1e-6;
    expect(ticks.length).toBeLessThanOrEqual(8);
    expect(ticks[0]).toBeLessThanOrEqual(low + slack);
    expect(ticks.at(-1)).toBeGreaterThanOrEqual(low + width - slack);
  }));
  expect(niceTicks(0, 1, 5)).toEqual([0, 0.2, 0.4, 0.6, 0.8, 1]);
});

test("numbers and times are short and readable", () => {
  const numbers = [
    0, 1, -2.5, 3.14159, 999.94, 12_800, 6_250_000, 1e12, 0.00041, 1e-5, 123.456, 9999.9, 1e20, NaN, Infinity,
  ];
  expect(numbers.map(formatNumber)).toEqual([
    "0", "1", "-2.5", "3.142", "999.9", "12.8k", "6.25M", "1T", "4.1e-4", "1e-5", "123.5", "10000", "1e+20", "NaN",
    "Infinity",
  ]);
  expect([4.21, 200, 7500, NaN].map(formatSeconds)).toEqual(["4.2 s", "3 min 20 s", "2 h 05 min", "unknown"]);
});

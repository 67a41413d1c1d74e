import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";

import fc from "fast-check";
import { expect, test } from "vitest";

import { inFolder } from "../test/toy.ts";
import { MetricsWriter, readMetrics, type MetricsRecord } from "./metrics.ts";

function recordAt(step: number, more: Partial<MetricsRecord> = {}): MetricsRecord {
  return {
    step, tokens: step * 100, loss: 3 / step, gradientNorm: 0.5, learningRate: 1e-3, tokensPerSecond: 1234.5,
    seconds: step, ...more,
  };
}

async function write(path: string, records: readonly MetricsRecord[], from = 0): Promise<void> {
  const writer = await MetricsWriter.open(path, from);
  for (const record of records) await writer.append(record);
  await writer.sync();
  await writer[Symbol.asyncDispose]();
}

const number = fc.double({ noNaN: false });

test("records come back as they were written, NaN and infinities too", async () => {
  await inFolder(async (folder) => {
    const path = join(folder, "metrics.jsonl");
    await fc.assert(fc.asyncProperty(fc.array(fc.record({
      loss: number, gradientNorm: number, validationLoss: number, seconds: number,
      stage: fc.record({ sequenceLength: fc.nat(), microBatches: fc.nat() }),
    }), { maxLength: 5 }), async (parts) => {
      const records = parts.map((part, i) => recordAt(i + 1, part));
      await write(path, records);
      // JSON writes -0 as 0.
      const plain = (x: unknown): string => (
        JSON.stringify(x, (_, value: unknown) => (typeof value === "number" ? String(value) : value))
      );
      expect(plain(await readMetrics(path))).toEqual(plain(records.map(({ stage, ...rest }) => ({ ...rest, stage }))));
    }), { numRuns: 30 });
  });
});

test("a line cut by a crash costs that line alone, and a resumed run goes on behind its checkpoint", async () => {
  await inFolder(async (folder) => {
    const path = join(folder, "metrics.jsonl");
    await write(path, [1, 2, 3].map((step) => recordAt(step)));
    const whole = await readFile(path, "utf8");
    const lastLine = whole.lastIndexOf("\n", whole.length - 2) + 1;
    for (let cut = lastLine; cut <= whole.length; cut++) {
      await writeFile(path, whole.slice(0, cut));
      const complete = cut >= whole.length - 1 ? [1, 2, 3] : [1, 2];
      expect((await readMetrics(path)).map(({ step }) => step)).toEqual(complete);
      await write(path, [recordAt(4)], 3);
      expect((await readMetrics(path)).map(({ step }) => step)).toEqual([...complete, 4]);
    }
    await write(path, [recordAt(2)], 1);
    expect((await readMetrics(path)).map(({ step }) => step)).toEqual([1, 2]);
    await write(path, [], 0);
    expect(await readFile(path, "utf8")).toBe("");
  });
});

test("a bad line in the middle is named; a missing file holds nothing", async () => {
  await inFolder(async (folder) => {
    const path = join(folder, "metrics.jsonl");
    expect(await readMetrics(path)).toEqual([]);
    await write(path, [recordAt(1)]);
    const good = await readFile(path, "utf8");
    const wrongType = good.trim().replace(":100,", ":\"x\",");
    for (const bad of ["{", "[]", "null", "3", "{\"step\":1}", "{\"__proto__\":{\"step\":1}}", wrongType, ""]) {
      await writeFile(path, `${good}${bad}\n${good}`);
      await expect(readMetrics(path)).rejects.toThrow(`${path}:2: expected a metrics record, got `);
    }
  });
});

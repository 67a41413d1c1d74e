import { mkdirSync, readFileSync, readdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { golden, held, temporaryFolder, tensors } from "../../test/safetensors-files.ts";
import { openWeights } from "../folder/read.ts";
import { SafetensorsError } from "./errors.ts";
import { encodeShardIndex, readShardIndex } from "./shard-index.ts";
import { openShardedSafetensors } from "./sharded-reader.ts";
import { planShards, writeWeights } from "./sharded-writer.ts";
import { writeSafetensors } from "./writer.ts";

const indexName = "model.safetensors.index.json";
const byte = (name: string, value: number, count = 1) => held(name, "U8", [count], new Uint8Array(count).fill(value));

async function failure(run: Promise<unknown>): Promise<unknown> {
  const error = await run.then(
    () => undefined,
    (caught: unknown) => caught
  );
  expect(error).toBeInstanceOf(SafetensorsError);
  return (error as SafetensorsError).data["reason"];
}

describe("writeWeights", () => {
  it("round-trips any tensors at any shard size", async () => {
    await fc.assert(
      fc.asyncProperty(tensors, fc.integer({ min: 1, max: 300 }), async (sources, maxShardBytes) => {
        const folder = temporaryFolder();
        await writeWeights(folder, sources, { maxShardBytes });
        const weights = await openWeights(folder);
        expect([...weights.names].sort()).toEqual(sources.map(({ name }) => name).sort());
        for (const { name, dtype, shape, bytes } of sources) {
          expect(weights.info(name)).toMatchObject({ dtype, shape });
          expect(Buffer.compare(await weights.read(name), bytes)).toBe(0);
        }
        await weights.close();
      }),
      { numRuns: 40 }
    );
  });

  it("names shards and their index as transformers does", async () => {
    const folder = temporaryFolder();
    await writeWeights(folder, [byte("b", 1, 6), byte("a", 2, 5), byte("c", 3, 20), byte("d", 4, 1)], {
      maxShardBytes: 10,
    });
    const names = ["1", "2", "3", "4"].map((n) => `model-0000${n}-of-00004.safetensors`);
    expect(readdirSync(folder).sort()).toEqual([...names, indexName]);
    expect(JSON.parse(readFileSync(join(folder, indexName), "utf8"))).toEqual({
      metadata: { total_size: 32 },
      weight_map: { a: names[1], b: names[0], c: names[2], d: names[3] },
    });
  });

  it("removes the files of an earlier split and nothing else", async () => {
    const folder = temporaryFolder();
    writeFileSync(join(folder, "model-of-a-ship.safetensors"), "");
    writeFileSync(join(folder, "tokenizer.json"), "{}");
    const others = ["model-of-a-ship.safetensors", "tokenizer.json"];
    const sources = [byte("a", 1), byte("b", 2)];
    await writeWeights(folder, sources, { maxShardBytes: 1 });
    await writeWeights(folder, sources);
    expect(readdirSync(folder).sort()).toEqual([...others, "model.safetensors"].sort());
    await writeWeights(folder, sources, { maxShardBytes: 1 });
    const shards = ["model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"];
    expect(readdirSync(folder).sort()).toEqual([...others, ...shards, indexName].sort());
  });

  it("changes nothing when a late shard fails", async () => {
    const folder = temporaryFolder();
    await writeWeights(folder, [byte("a", 1), byte("b", 2)], { maxShardBytes: 1 });
    const before = readdirSync(folder).map((name) => readFileSync(join(folder, name), "latin1"));
    const broken = { ...byte("b", 9), read: () => Promise.reject(new RangeError("gone")) };
    await expect(writeWeights(folder, [byte("a", 9), broken], { maxShardBytes: 1 })).rejects.toThrow(RangeError);
    expect(readdirSync(folder).map((name) => readFileSync(join(folder, name), "latin1"))).toEqual(before);
  });

  it("refuses a name in two shards and a shard size of nothing", async () => {
    const folder = temporaryFolder();
    expect(await failure(writeWeights(folder, [byte("a", 1), byte("a", 2)], { maxShardBytes: 1 }))).toBe(
      "duplicate-key"
    );
    expect(await failure(writeWeights(folder, [byte("a", 1)], { maxShardBytes: 0 }))).toBe("shard-size");
    expect(await failure(writeWeights(folder, [byte("a", 1)], { maxShardBytes: NaN }))).toBe("shard-size");
    expect(readdirSync(folder)).toEqual([]);
    const many = Array.from({ length: 100_000 }, (_, index) => byte(`t${index}`, 1));
    expect(() => planShards(many, 1, "test")).toThrow(/at most 99999 shards, got 100000/);
  });
});

describe("openShardedSafetensors refuses", () => {
  const write = (folder: string, json: string): string => {
    writeFileSync(join(folder, indexName), json);
    return join(folder, indexName);
  };

  it.each([
    "../model.safetensors",
    "/etc/model.safetensors",
    "a/b.safetensors",
    "a\\b.safetensors",
    "C:b.safetensors",
    "..",
    "",
    "model.bin",
    "model.safetensors\u0000",
    "\u0000.safetensors",
    "file:b.safetensors",
  ])("the shard name %j", async (name) => {
    const folder = temporaryFolder();
    mkdirSync(join(folder, "model"));
    await writeSafetensors(join(folder, "model.safetensors"), [byte("a", 1)]);
    const index = write(join(folder, "model"), JSON.stringify({ weight_map: { a: name } }));
    expect(await failure(openShardedSafetensors(index))).toBe("shard-name");
  });

  it("an index that is none", async () => {
    const folder = temporaryFolder();
    for (const [json, reason] of [
      ["", "json"],
      ["[]", "weight-map"],
      ["{}", "weight-map"],
      ['{"weight_map":[]}', "weight-map"],
      ['{"weight_map":{}}', "weight-map"],
      ['{"weight_map":{"a":1}}', "shard-name"],
      ['{"weight_map":{"a":null}}', "shard-name"],
      ['{"weight_map":{"a":"x.safetensors","a":"y.safetensors"}}', "duplicate-key"],
      [`{"weight_map":${"[".repeat(100)}`, "limit"],
    ] as const) {
      expect(await failure(openShardedSafetensors(write(folder, json)))).toBe(reason);
    }
    writeFileSync(join(folder, indexName), Uint8Array.of(0x7b, 0xff, 0x7d));
    expect(await failure(openShardedSafetensors(join(folder, indexName)))).toBe("utf-8");
  });

  it("a tensor that is not where the index says, and a missing or broken shard", async () => {
    const folder = temporaryFolder();
    await writeWeights(folder, [byte("a", 1), byte("b", 2)], { maxShardBytes: 1 });
    const [first, second] = ["model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"];
    const index = (map: object): string => write(folder, JSON.stringify({ weight_map: map }));
    const swapped = openShardedSafetensors(index({ a: second, b: first }));
    await expect(swapped).rejects.toThrow(`"a" is in ${second}, but it is not; fetch the model again`);
    await expect(openShardedSafetensors(index({ a: first, b: "none.safetensors" }))).rejects.toThrow(/no such file/);
    writeFileSync(join(folder, second!), readFileSync(join(folder, second!)).subarray(0, 40));
    expect(await failure(openShardedSafetensors(index({ a: first, b: second })))).toBe("header-length");
  });
});

describe("shard index", () => {
  it("reads back what it encodes, whatever the tensor names", () => {
    const names = fc.dictionary(fc.string({ unit: "binary" }), fc.constantFrom("x.safetensors", "ü y.safetensors"), {
      minKeys: 1,
    });
    fc.assert(
      fc.property(names, fc.nat(), (map, total) => {
        const encoded = encodeShardIndex(new Map(Object.entries(map)), total);
        expect(Object.fromEntries(readShardIndex(encoded, "test"))).toEqual(Object.fromEntries(Object.entries(map)));
      })
    );
  });

  it("ignores tensors that a shard holds beyond the map", async () => {
    const weights = await openShardedSafetensors(golden("mistral-sharded/model.safetensors.index.json"));
    expect(weights.has("lm_head.weight")).toBe(true);
    expect(() => weights.info("none")).toThrow(/expected a tensor "none", it holds .* and \d+ more/);
    await weights.close();
    const folder = temporaryFolder();
    await writeSafetensors(join(folder, "x.safetensors"), [byte("a", 1), byte("b", 2)]);
    writeFileSync(join(folder, indexName), '{"metadata":{"total_size":1.5},"weight_map":{"a":"x.safetensors"}}');
    const one = await openShardedSafetensors(join(folder, indexName));
    expect(one.names).toEqual(["a"]);
    await expect(one.read("b")).rejects.toThrow(/expected a tensor "b"/);
    await one.close();
  });
});

import { existsSync, mkdirSync, readdirSync, readFileSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { byteTokenizer, put, someHash, temporaryFolder } from "../../test/support.ts";
import type { TextBatchEncoder } from "../token-encoder.ts";
import { openDataset } from "./open-dataset.ts";
import { prepareDataset, type PrepareOptions, type PrepareProgress } from "./prepare-dataset.ts";
import type { TokenStream } from "./token-stream.ts";

const base = { tokenizer: byteTokenizer, tokenizerHash: someHash };

function corpus(documents: number): { inputs: string[]; out: string; texts: string[] } {
  const folder = temporaryFolder();
  const texts = Array.from({ length: documents }, (_, i) => `document ${i} ${"é".repeat(i % 7)}`);
  const rows = texts.map((text) => JSON.stringify({ text })).join("\n");
  return { inputs: [put(join(folder, "in put.jsonl"), rows)], out: join(folder, "out", "ta ü"), texts };
}

function documentsOf(stream: TokenStream): number[][] {
  return Array.from({ length: stream.documents }, (_, d) => {
    const ids = new Int32Array(stream.documentStart(d + 1) - stream.documentStart(d));
    stream.read(stream.documentStart(d), ids.length, ids);
    return [...ids];
  });
}

const encoded = (text: string): number[] => [1, ...Array.from(byteTokenizer.encode(text)), 2];

function filesOf(folder: string): Record<string, string> {
  return Object.fromEntries(readdirSync(folder).map((name) => [name, readFileSync(join(folder, name), "hex")]));
}

describe("prepareDataset", () => {
  test("writes every document once, in order, to one of the splits", async () => {
    const { inputs, out, texts } = corpus(230);
    const seen: PrepareProgress[] = [];
    const manifest = await prepareDataset({
      ...base,
      inputs,
      out,
      validationFraction: 0.1,
      shardTokens: 500,
      onProgress: (progress) => seen.push(progress),
    });
    using dataset = openDataset(out, { verify: true, tokenizerHash: someHash });
    expect(dataset.manifest).toEqual(manifest);
    expect(manifest.validationSplit).toBe("documents");
    expect(manifest.splits.train.shards.length).toBeGreaterThan(3);
    expect([dataset.train.documents, dataset.validation.documents]).toEqual([207, 23]);
    const validation = documentsOf(dataset.validation).map(String);
    const train = documentsOf(dataset.train).map(String);
    const all = texts.map((text) => String(encoded(text)));
    expect(all.filter((ids) => !validation.includes(ids))).toEqual(train);
    expect(all.filter((ids) => validation.includes(ids))).toEqual(validation);
    expect(seen.at(-1)).toMatchObject({ documents: 230, tokens: dataset.train.tokens + dataset.validation.tokens });
    expect(seen.at(-1)?.bytes).toBe(seen.at(-1)?.totalBytes);
    const { splits } = manifest;
    expect(splits.train.textBytes + splits.validation.textBytes).toBe(Buffer.byteLength(texts.join("")));
  });

  test("gives the same bytes when texts are encoded in batches", async () => {
    const { inputs, out } = corpus(9000);
    const sizes: number[] = [];
    const batchEncoder: TextBatchEncoder = {
      encode: async (texts) => {
        sizes.push(texts.length);
        const parts = texts.map((text) => Array.from(byteTokenizer.encode(text)));
        const starts = [0];
        for (const part of parts) starts.push(starts.at(-1)! + part.length);
        return await Promise.resolve({ ids: Uint16Array.from(parts.flat()), starts });
      },
    };
    const single = await prepareDataset({ ...base, inputs, out });
    const batched = await prepareDataset({ ...base, inputs, out: `${out}2`, batchEncoder });
    expect(batched).toEqual(single);
    expect(filesOf(`${out}2`)).toEqual(filesOf(out));
    expect(sizes.length).toBe(3);
    expect(sizes.reduce((sum, size) => sum + size)).toBe(9000);
  });

  test("throws what the batch encoder throws, and leaves nothing", async () => {
    const { inputs, out } = corpus(9000);
    let calls = 0;
    const batchEncoder: TextBatchEncoder = {
      encode: async (texts) => {
        if (++calls === 2) throw new Error("a thread died");
        return await Promise.resolve({ ids: new Uint16Array(0), starts: new Array<number>(texts.length + 1).fill(0) });
      },
    };
    await expect(prepareDataset({ ...base, inputs, out, batchEncoder })).rejects.toThrow("a thread died");
    expect(existsSync(out)).toBe(false);
  });

  test("gives the same bytes again, and another split for another seed", async () => {
    const { inputs, out } = corpus(100);
    const options = { ...base, inputs, validationFraction: 0.1 };
    await prepareDataset({ ...options, out });
    await prepareDataset({ ...options, out: `${out} 2` });
    await prepareDataset({ ...options, out: `${out} 3`, seed: 1 });
    expect(filesOf(`${out} 2`)).toEqual(filesOf(out));
    expect(filesOf(`${out} 3`)).not.toEqual(filesOf(out));
  });

  test("leaves out begin and end tokens when told", async () => {
    const { inputs, out, texts } = corpus(3);
    const tokenizer = { ...byteTokenizer, bosId: -1, eosId: -1 };
    const options = { ...base, inputs, out, tokenizer, validationFraction: 0 };
    await expect(prepareDataset(options)).rejects.toThrow(/no begin \(BOS\) token .* set addBos to false/);
    await prepareDataset({ ...options, addBos: false, addEos: false });
    using dataset = openDataset(out);
    expect(documentsOf(dataset.train)).toEqual(texts.map((text) => encoded(text).slice(1, -1)));
    expect(dataset.validation.tokens).toBe(0);
  });

  test.each([1, 2, 5])("holds out the end of the tokens where %i documents do not divide", async (documents) => {
    const { inputs, out, texts } = corpus(documents);
    const manifest = await prepareDataset({ ...base, inputs, out, validationFraction: 0.02, seed: 3 });
    const whole = texts.flatMap(encoded);
    expect(manifest.validationSplit).toBe("tail");
    using dataset = openDataset(out, { verify: true });
    const held = Math.max(1, Math.round(whole.length * 0.02));
    expect(documentsOf(dataset.train).flat()).toEqual(whole.slice(0, -held));
    expect(documentsOf(dataset.validation).flat()).toEqual(whole.slice(-held));
    expect(readdirSync(out).sort()).toEqual(["dataset.json", "train-00000.tokens", "validation-00000.tokens"]);
  });

  test("holds out the end of one long document", async () => {
    const folder = temporaryFolder();
    const path = put(join(folder, "a.txt"), "0123456789".repeat(100_000));
    const manifest = await prepareDataset({ ...base, inputs: [path], out: join(folder, "out"), shardTokens: 1000 });
    expect(manifest.validationSplit).toBe("tail");
    expect(manifest.splits.validation).toMatchObject({ tokens: 10_000, documents: 1 });
    expect(manifest.splits.train.textBytes + manifest.splits.validation.textBytes).toBe(1_000_000);
  });

  test("refuses a corpus without text", async () => {
    const { out } = corpus(0);
    const blank = put(join(temporaryFolder(), "blank.txt"), " \n");
    await expect(prepareDataset({ ...base, inputs: [blank], out })).rejects.toMatchObject({ code: "empty-corpus" });
    expect(readdirSync(join(out, ".."))).toEqual([]);
  });

  test.each<[string, Partial<PrepareOptions>, RegExp]>([
    ["no inputs", { inputs: [] }, /the inputs hold no text/],
    ["a missing input", { inputs: ["/nowhere/a.txt"] }, /no such file/],
    ["a fraction of one", { validationFraction: 1 }, /validationFraction: expected/],
    ["a seed that is none", { seed: 1.5 }, /seed: expected an integer/],
    ["a hash that is none", { tokenizerHash: "abc" }, /tokenizerHash: expected 64/],
    ["an id too large", { tokenizer: { ...byteTokenizer, vocabularySize: 100 } }, /jsonl, document 0: .* gave id/],
    ["a tokenizer that fails", { tokenizer: { ...byteTokenizer, encode: () => JSON.parse("") as number[] } }, /JSON/],
    ["an output under a file", { out: "/dev/null/x" }, /cannot be written/],
  ])("%s: an error, and nothing is left", async (_, options, message) => {
    const { inputs, out } = corpus(10);
    mkdirSync(join(out, ".."));
    await expect(prepareDataset({ ...base, inputs, out, ...options })).rejects.toThrow(message);
    expect(readdirSync(join(out, ".."))).toEqual([]);
  });

  test("replaces a dataset only when told, and never another folder", async () => {
    const { inputs, out } = corpus(10);
    const options = { ...base, inputs, out };
    await prepareDataset(options);
    const before = filesOf(out);
    await expect(prepareDataset({ ...options, seed: 9 })).rejects.toMatchObject({ code: "output-exists" });
    expect(filesOf(out)).toEqual(before);
    await prepareDataset({ ...options, seed: 9, overwrite: true });
    expect(filesOf(out)).not.toEqual(before);
    expect(readdirSync(join(out, ".."))).toEqual(["ta ü"]);
    const other = join(out, "..", "thesis");
    put(join(other, "chapter.txt"), "years of work");
    await expect(prepareDataset({ ...options, out: other, overwrite: true })).rejects.toThrow(/is no dataset/);
  });

  test("follows a link to its folder, and fills an empty one", async () => {
    const { inputs, out } = corpus(10);
    mkdirSync(out, { recursive: true });
    symlinkSync(out, `${out} link`);
    await prepareDataset({ ...base, inputs, out: `${out} link` });
    expect(existsSync(join(out, "dataset.json"))).toBe(true);
  });

  test("stops when told and leaves nothing", async () => {
    const { inputs, out } = corpus(50);
    const abort = new AbortController();
    const onProgress = ({ documents }: PrepareProgress): void => {
      if (documents === 20) abort.abort(new Error("interrupted"));
    };
    const running = prepareDataset({ ...base, inputs, out, onProgress, signal: abort.signal });
    await expect(running).rejects.toThrow("interrupted");
    expect(readdirSync(join(out, ".."))).toEqual([]);
  });
});

describe("openDataset", () => {
  test("refuses another tokenizer, a foreign shard, and a manifest that does not fit", async () => {
    const { inputs, out } = corpus(30);
    await prepareDataset({ ...base, inputs, out, validationFraction: 0.1 });
    const path = join(out, "dataset.json");
    const good = readFileSync(path, "utf8");
    expect(() => openDataset(out, { tokenizerHash: "cd".repeat(32) })).toThrow(/prepared with another tokenizer/);
    const changes: [string, string][] = [
      ['"format": "danu-dataset"', '"format": "other"'],
      ['"version": 1', '"version": 2'],
      ['"file": "train-00000.tokens"', '"file": "../train-00000.tokens"'],
      ['"file": "train-00000.tokens"', '"file": "validation-00000.tokens"'],
      ['"file": "train-00000.tokens"', '"file": "train-00009.tokens"'],
      ['"documents": 27', '"documents": 26'],
      ['"vocabularySize": 259', '"vocabularySize": 260'],
      [someHash, "cd".repeat(32)],
      ['"seed": 0', '"seed": -1'],
      ['"splits"', '"pieces"'],
      ["}", ""],
    ];
    for (const [from, to] of changes) {
      expect(good).toContain(from);
      writeFileSync(path, good.replace(from, to));
      const anyDataError = expect.objectContaining({ name: "DataError" }) as Error;
      expect(() => openDataset(out), `${from} → ${to}`).toThrow(anyDataError);
    }
    expect(() => openDataset(join(out, "nowhere"))).toThrow(/no such file/);
  });
});

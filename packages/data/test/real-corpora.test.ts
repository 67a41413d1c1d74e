import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { loadTokenizer } from "@danu/tokenizer";
import { describe, expect, test } from "vitest";
import { createSampler, hashFile, inspectDataset, openDataset, prepareDataset, readDocuments } from "../src/index.ts";
import { all, byteTokenizer, shared, someHash, temporaryFolder } from "./support.ts";

const corpora = join(shared, "data", "pretrain");

// The real corpora are not part of the repository.
describe.skipIf(!existsSync(corpora))(`real corpora in ${corpora}`, () => {
  test("novels with byte order marks and CRLF come out as plain text", async () => {
    const documents = await all(readDocuments([join(corpora, "novels")]));
    expect(documents).toHaveLength(31);
    for (const { text, source } of documents) {
      expect(text).not.toMatch(/\r\n|^\ufeff/);
      expect(text).toBe(new TextDecoder().decode(readFileSync(source)).replaceAll("\r\n", "\n"));
    }
  });

  test("C4 rows, raw WikiText and TinyStories are read by their names", async () => {
    const names = ["llama-factory", "wikitext-2-raw", "tinystories", "tinyshakespeare"];
    const documents = await all(readDocuments(names.map((name) => join(corpora, name))));
    const rows = readFileSync(join(corpora, "llama-factory", "c4_demo.jsonl"), "utf8").trim().split("\n");
    expect(documents.slice(0, rows.length).map(({ text }) => text)).toEqual(
      rows.map((row) => (JSON.parse(row) as { text: string }).text),
    );
    expect(documents.slice(rows.length).map(({ source }) => source.slice(corpora.length + 1))).toEqual([
      "llama-factory/wiki_demo.txt",
      "wikitext-2-raw/wiki.test.raw",
      "tinystories/tiny_stories.txt",
      "tinystories/tinystories_val.txt",
      "tinyshakespeare/input.txt",
    ]);
  });

  test("a dataset of them is sampled whole", async () => {
    const out = join(temporaryFolder(), "out");
    const inputs = [join(corpora, "llama-factory"), join(corpora, "tinystories", "tinystories_val.txt")];
    await prepareDataset({ inputs, out, tokenizer: byteTokenizer, tokenizerHash: someHash, shardTokens: 300_000 });
    using dataset = openDataset(out, { verify: true });
    const report = inspectDataset(dataset);
    expect(report.train.shards).toBeGreaterThan(2);
    expect(report.train.tokens).toBe(report.train.textBytes + 2 * report.train.documents);
    const T = 256;
    const windows = Math.floor((dataset.train.tokens - 1) / T);
    const sampler = createSampler({
      data: dataset.train,
      seed: 1,
      tokensPerBatch: T,
      stages: [{ tokens: windows * T, sequenceLength: T }],
    });
    const counts = new Int32Array(byteTokenizer.vocabularySize);
    for (let step = 0; step < sampler.steps; step++) for (const id of sampler.batch(step).ids) counts[id]!++;
    const expected = new Int32Array(byteTokenizer.vocabularySize);
    const ids = new Int32Array(windows * T);
    dataset.train.read(0, ids.length, ids);
    for (const id of ids) expected[id]!++;
    expect(counts).toEqual(expected);
  });

  test("tokens of a real tokenizer give the text back", async () => {
    const path = join(shared, "data", "tokenizers", "llama2", "tokenizer.model");
    const tokenizer = loadTokenizer(readFileSync(path));
    const out = join(temporaryFolder(), "out");
    const inputs = [join(corpora, "llama-factory", "c4_demo.jsonl")];
    const options = { inputs, out, tokenizer, tokenizerHash: await hashFile(path), validationFraction: 0 };
    await prepareDataset(options);
    using dataset = openDataset(out, { verify: true });
    const texts = (await all(readDocuments(inputs))).map(({ text }) => text);
    expect(dataset.train.documents).toBe(texts.length);
    for (const [document, text] of texts.entries()) {
      const start = dataset.train.documentStart(document);
      const ids = new Int32Array(dataset.train.documentStart(document + 1) - start);
      dataset.train.read(start, ids.length, ids);
      expect([ids[0], ids.at(-1)]).toEqual([tokenizer.bosId, tokenizer.eosId]);
      expect(tokenizer.decode(ids.subarray(1, -1))).toBe(text);
    }
  });
});

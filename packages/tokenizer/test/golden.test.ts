import { createHash } from "node:crypto";
import { describe, expect, it } from "vitest";
import { loadTokenizer, type Tokenizer } from "../src/index.ts";
import { type Case, hasData, loadData, readData, readDataText, readGolden } from "./support.ts";

interface SmallModel {
  name: string;
  model: string;
  encode: Case[];
  decode: Case[];
}
interface Published {
  texts: string[];
  models: Record<string, { path: string; ids: number[][]; decode: Case[] }>;
}
type Documents = Record<string, { path: string; documents: Record<string, [count: number, digest: string]> }>;

function expectEncodings(tokenizer: Tokenizer, cases: readonly Case[]): void {
  for (const { text, ids } of cases) expect([text, [...tokenizer.encode(text)]]).toEqual([text, ids]);
}

function expectDecodings(tokenizer: Tokenizer, cases: readonly Case[]): void {
  for (const { text, ids } of cases) expect([ids, tokenizer.decode(ids)]).toEqual([ids, text]);
}

describe("models trained or put together for the test", () => {
  for (const { name, model, encode, decode } of readGolden<{ models: SmallModel[] }>("small-models.json").models) {
    it(`${name}: ids and texts of sentencepiece`, () => {
      const tokenizer = loadTokenizer(Buffer.from(model, "base64"));
      expectEncodings(tokenizer, encode);
      expectDecodings(tokenizer, decode);
    });
  }
});

describe.skipIf(!hasData)("published models (needs the shared data folder)", () => {
  const { texts, models } = readGolden<Published>("published-models.json");
  for (const [name, { path, ids, decode }] of Object.entries(models)) {
    it(`${name}: ids and texts of sentencepiece`, () => {
      const tokenizer = loadData(path);
      expectEncodings(
        tokenizer,
        texts.map((text, i) => ({ text, ids: ids[i]! })),
      );
      expectDecodings(tokenizer, decode);
    });
  }

  for (const [name, { path, documents }] of Object.entries(readGolden<Documents>("documents.json"))) {
    it(`${name}: ids of whole books as single texts`, () => {
      const tokenizer = loadData(path);
      for (const [file, golden] of Object.entries(documents)) {
        const ids = tokenizer.encode(readDataText(file));
        const digest = createHash("sha256").update(ids).digest("hex").slice(0, 32);
        expect([file, ids.length, digest]).toEqual([file, ...golden]);
      }
    });
  }
});

describe.skipIf(!hasData)("conformance vectors of other projects (needs the shared data folder)", () => {
  const folder = "tokenizer-conformance";

  // Phi-3 has Llama's pieces.
  it.each(["llama-spm", "phi-3"])("llama.cpp, %s", (name) => {
    const tokenizer = loadData("tokenizers/llama2/tokenizer.model");
    const texts = readDataText(`${folder}/llama.cpp/ggml-vocab-${name}.gguf.inp`).split("\n__ggml_vocab_test__\n");
    const lines = readDataText(`${folder}/llama.cpp/ggml-vocab-${name}.gguf.out`).split("\n");
    // The file has one line of ids per text; the text after the last separator is empty.
    const cases = texts.slice(0, lines.length).map((text, i) => ({ text, ids: numbers(lines[i]!) }));
    expect(cases.length).toBeGreaterThan(40);
    expectEncodings(tokenizer, cases);
  });

  it("llama-tokenizer-js", () => {
    interface Vectors {
      encode_with_bos: Case[];
      decode: (Case & { add_bos_token: boolean; add_preceding_space: boolean })[];
    }
    const tokenizer = loadData("tokenizers/llama2/tokenizer.model");
    const vectors = JSON.parse(readDataText(`${folder}/llama-tokenizer-js/vectors.json`)) as Vectors;
    expect(vectors.encode_with_bos.length).toBe(12);
    for (const { text, ids } of vectors.encode_with_bos) {
      expect([...tokenizer.encode(text, { addBos: true })]).toEqual(ids);
    }
    // Of its four ways to decode, two are ours: strip BOS and the dummy space, or keep both.
    const withBos = vectors.decode.filter(({ ids }) => ids[0] === tokenizer.bosId);
    const shared = withBos.filter((x) => x.add_bos_token === x.add_preceding_space);
    expect(shared.length).toBe(2);
    for (const { ids, text, add_bos_token: skipSpecial } of shared) {
      expect(tokenizer.decode(ids, { skipSpecial })).toBe(text);
    }
  });

  it("llama2.c: the same spellings in its own file format", () => {
    const tokenizer = loadData("tokenizers/tok512/tok512.model");
    const file = readData("tokenizers/tok512/tok512.bin");
    const view = new DataView(file.buffer, file.byteOffset, file.byteLength);
    let at = 4;
    for (let id = 0; id < tokenizer.vocabularySize; id++) {
      const length = view.getInt32(at + 4, true);
      const spelling = Buffer.from(file.subarray(at + 8, at + 8 + length)).toString("utf8");
      if (id > 2) expect(tokenizer.pieces[id]!.replaceAll("\u2581", " ")).toBe(spelling);
      at += 8 + length;
    }
    expect(at).toBe(file.length);
  });
});

function numbers(line: string): number[] {
  return line.split(" ").filter(Boolean).map(Number);
}

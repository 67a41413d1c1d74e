import { createHash } from "node:crypto";
import { describe, expect, it } from "vitest";
import { loadTokenizer, saveTokenizer, type Tokenizer, type TokenizerFormat } from "../src/index.ts";
import { ifSupported, reload } from "./save-support.ts";
import { type Case, hasData, readData, readDataText, readGolden } from "./support.ts";

interface ModelCase {
  name: string;
  model: string;
  legacy?: boolean;
  encode: Case[];
}
interface JsonCase {
  name: string;
  files: Record<string, string>;
  encode: (Case & { plainIds?: number[] })[];
}
interface Small {
  readonly name: string;
  readonly load: () => Tokenizer;
  readonly formats: readonly TokenizerFormat[];
  /** Special tokens in the texts are text. */
  readonly encode: readonly Case[];
}

const golden = readGolden<Record<string, Record<string, string>>>("save.json");

/** The tokenizers of tools/golden/save-small-models.mjs. */
const small: Small[] = [
  ...["small-models.json", "save-models.json"].flatMap((file) => {
    return readGolden<{ models: ModelCase[] }>(file).models.map(({ name, model, legacy, encode }): Small => {
      const config = Buffer.from(JSON.stringify(legacy === undefined ? {} : { legacy }));
      const load = (): Tokenizer => loadTokenizer({ model: Buffer.from(model, "base64"), config });
      return { name: `model-${name}`, load, formats: ["sentencepiece", "huggingface"], encode };
    });
  }),
  ...readGolden<{ cases: JsonCase[] }>("huggingface-small.json").cases.map(({ name, files, encode }): Small => {
    const load = (): Tokenizer => loadTokenizer(Buffer.from(files["tokenizer.json"]!));
    const plain = encode.map(({ text, ids, plainIds }) => ({ text, ids: plainIds ?? ids }));
    return { name: `json-${name}`, load, formats: ["sentencepiece"], encode: plain };
  }),
];

describe("small tokenizers", () => {
  const saved = small.flatMap(({ name, load, formats, encode }) =>
    formats.flatMap((format) => {
      const files = ifSupported(() => saveTokenizer(load(), format));
      return files === undefined ? [] : [{ name: `${name}-${format}`, files, encode }];
    }),
  );

  it("the files are those that the originals read right (else run tools/golden/saved_tokenizers.py again)", () => {
    const hashes = saved.map(({ name, files }) => {
      const digests = Array.from(files, ([file, bytes]) => [file, digest(bytes)]);
      return [name, Object.fromEntries(digests)] as const;
    });
    expect(Object.fromEntries(hashes)).toEqual(golden);
  });

  it("read again they give the ids that the originals gave before", () => {
    let read = 0;
    for (const { name, files, encode } of saved) {
      const tokenizer = ifSupported(() => reload(files));
      if (tokenizer === undefined) continue;
      read++;
      for (const { text, ids } of encode) expect([name, text, [...tokenizer.encode(text)]]).toEqual([name, text, ids]);
    }
    expect(read).toBeGreaterThan(saved.length * 0.8);
  });
});

describe.skipIf(!hasData)("published models (needs the shared data folder)", () => {
  const paths = {
    "Llama 2": "tokenizers/llama2/tokenizer.model",
    Mistral: "tokenizers/mistral/tokenizer.model",
    tok512: "tokenizers/tok512/tok512.model",
    "Llama 2 as tokenizer.json": "tokenizers/llama2-hf/tokenizer.json",
  };
  const { texts } = readGolden<{ texts: string[] }>("published-models.json");
  const novel = "pretrain/tinyshakespeare/input.txt";

  it.each(Object.entries(paths))("%s: the same ids and texts in both formats", (_, path) => {
    const tokenizer = loadTokenizer(readData(path));
    for (const format of ["sentencepiece", "huggingface"] as const) {
      const again = reload(saveTokenizer(tokenizer, format));
      for (const text of [...texts, "x <s>y</s> z", readDataText(novel)]) {
        const ids = tokenizer.encode(text, { parseSpecial: true });
        expect([text, digest(again.encode(text, { parseSpecial: true }))]).toEqual([text, digest(ids)]);
        expect([text, digest(again.encode(text))]).toEqual([text, digest(tokenizer.encode(text))]);
        if (!ids.includes(tokenizer.unkId)) expect(again.decode(ids)).toBe(tokenizer.decode(ids));
      }
    }
  });

  it("a vocabulary in the format that it was read from keeps its bytes", () => {
    const model = readData(paths["Llama 2"]);
    expect(digest(saveTokenizer(loadTokenizer(model), "sentencepiece").get("tokenizer.model")!)).toBe(digest(model));
    const json = readData(paths["Llama 2 as tokenizer.json"]);
    expect(digest(saveTokenizer(loadTokenizer(json), "huggingface").get("tokenizer.json")!)).toBe(digest(json));
  });

  it("Llama 2 needs one merge for each piece that is made", () => {
    const files = saveTokenizer(loadTokenizer(readData(paths["Llama 2"])), "huggingface");
    const { model } = JSON.parse(Buffer.from(files.get("tokenizer.json")!).toString()) as {
      model: { merges: string[]; vocab: Record<string, number> };
    };
    const made = model.merges.map((merge) => merge.replace(" ", ""));
    expect(new Set(made).size).toBe(made.length);
    const longer = Object.keys(model.vocab).filter((piece) => [...piece].length > 1 && !/^<(0x..|s|\/s|unk)>$/.test(piece));
    expect(made.toSorted()).toEqual(longer.toSorted());
  });
});

function digest(bytes: Uint8Array | Int32Array): string {
  return createHash("sha256").update(bytes).digest("hex");
}

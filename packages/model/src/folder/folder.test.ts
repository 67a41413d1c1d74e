import { mkdirSync, readFileSync, readdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { golden, held, temporaryFolder } from "../../test/safetensors-files.ts";
import { ConfigError } from "../config.ts";
import { preset } from "../presets.ts";
import { FileError, SafetensorsError } from "../safetensors/errors.ts";
import { readTokenizerFiles } from "./files.ts";
import { openModelFolder } from "./read.ts";
import { writeModelFolder } from "./write.ts";

const config = preset("nano", { slidingWindow: 64, ropeTheta: 12_345.5, padId: 0 });
const tensors = [
  held(
    "model.embed_tokens.weight",
    "F32",
    [2, 3],
    Uint8Array.from({ length: 24 }, (_, i) => i)
  ),
  held("lm_head.weight", "BF16", [5], new Uint8Array(10).fill(3)),
];

function contentsOf(folder: string): Record<string, string> {
  return Object.fromEntries(
    readdirSync(folder)
      .sort()
      .map((name) => [name, readFileSync(join(folder, name), "latin1")])
  );
}

describe("writeModelFolder and openModelFolder", () => {
  it.each([
    ["one file", undefined],
    ["shards", 12],
  ])("round-trip a model in %s", async (_, maxShardBytes) => {
    const path = join(temporaryFolder(), "a", "model");
    const files = new Map<string, Uint8Array | string>([
      ["tokenizer.model", Uint8Array.of(0, 255)],
      ["tokenizer_config.json", "{}"],
    ]);
    await writeModelFolder(path, {
      config,
      tensors,
      files,
      generationConfig: { repetition_penalty: 1.1 },
      ...(maxShardBytes && { maxShardBytes }),
    });
    const folder = await openModelFolder(path);
    expect(folder.config).toEqual(config);
    expect(folder.huggingFaceConfig).toMatchObject({ model_type: "mistral", sliding_window: 64 });
    expect(folder.generationConfig).toEqual({
      bos_token_id: 1,
      eos_token_id: 2,
      pad_token_id: 0,
      repetition_penalty: 1.1,
    });
    expect(folder.tokenizerFiles).toEqual(["tokenizer.model", "tokenizer_config.json"]);
    expect(await readTokenizerFiles(path)).toEqual(
      new Map([
        ["tokenizer.model", Uint8Array.of(0, 255)],
        ["tokenizer_config.json", new TextEncoder().encode("{}")],
      ])
    );
    for (const { name, bytes } of tensors) expect(Buffer.compare(await folder.weights.read(name), bytes)).toBe(0);
    await folder.close();
    await folder[Symbol.asyncDispose]();
  });

  it("copies a folder of transformers onto itself and elsewhere", async () => {
    const path = temporaryFolder();
    const copy = async (from: string, maxShardBytes: number): Promise<void> => {
      const { config: read, weights, huggingFaceConfig, close } = await openModelFolder(from);
      const sources = weights.names.map((name) => ({ ...weights.info(name), read: () => weights.read(name) }));
      const modelType = huggingFaceConfig["model_type"] as "mistral";
      await writeModelFolder(path, { config: read, tensors: sources, modelType, maxShardBytes });
      await close();
    };
    await copy(golden("mistral-sharded"), 5_000_000_000);
    expect(readdirSync(path).sort()).toEqual(["config.json", "generation_config.json", "model.safetensors"]);
    await copy(path, 3000);
    const [original, copied] = [await openModelFolder(golden("mistral-sharded")), await openModelFolder(path)];
    expect(copied.config).toEqual(original.config);
    for (const name of original.weights.names) {
      expect(Buffer.compare(await copied.weights.read(name), await original.weights.read(name))).toBe(0);
    }
    expect(readdirSync(path)).not.toContain("model.safetensors");
    await original.close();
    await copied.close();
  });

  it("changes nothing if any part cannot be written", async () => {
    const path = temporaryFolder();
    await writeModelFolder(path, { config, tensors, maxShardBytes: 12 });
    const before = contentsOf(path);
    const broken = { ...held("x", "U8", [1], Uint8Array.of(1)), read: () => Promise.reject(new RangeError("gone")) };
    await expect(writeModelFolder(path, { config: preset("nano"), tensors: [...tensors, broken] })).rejects.toThrow(
      RangeError
    );
    await expect(writeModelFolder(path, { config: { ...config, layers: 0 }, tensors })).rejects.toThrow(ConfigError);
    const short = held("x", "U8", [2], Uint8Array.of(1));
    await expect(writeModelFolder(path, { config, tensors: [short] })).rejects.toThrow(SafetensorsError);
    for (const name of [
      "../x",
      "/x",
      "a/b",
      "..",
      "",
      "config.json",
      "model.safetensors",
      "model.safetensors.index.json",
    ]) {
      const files = new Map([[name, "x"]]);
      await expect(writeModelFolder(path, { config, tensors, files })).rejects.toThrow(FileError);
    }
    expect(contentsOf(path)).toEqual(before);
  });

  it("refuses a path that is a file", async () => {
    const folder = temporaryFolder();
    writeFileSync(join(folder, "file"), "");
    await expect(writeModelFolder(join(folder, "file"), { config, tensors })).rejects.toThrow(/cannot write .*file/);
    await expect(writeModelFolder(join(folder, "file", "x"), { config, tensors })).rejects.toThrow(
      /a part of the path is a file/
    );
  });
});

describe("openModelFolder refuses", () => {
  it("what is no model folder, in one sentence", async () => {
    const path = temporaryFolder();
    await expect(openModelFolder(join(path, "none"))).rejects.toThrow(
      /cannot read .*none: there is no such file or folder/
    );
    await expect(openModelFolder(path)).rejects.toThrow(/config\.json: there is no such file/);
    const configPath = join(path, "config.json");
    for (const text of ["", "[]", "nonsense", "\u00ff"]) {
      writeFileSync(configPath, text, "latin1");
      await expect(openModelFolder(path)).rejects.toThrow(ConfigError);
    }
    writeFileSync(configPath, '{"model_type":"gpt2"}');
    await expect(openModelFolder(path)).rejects.toThrow(
      `${configPath}: model_type: expected llama or mistral, got "gpt2"`
    );
    writeFileSync(configPath, readFileSync(golden("llama-tied/config.json")));
    await expect(openModelFolder(path)).rejects.toThrow(
      /expected model.safetensors or model.safetensors.index.json; check/
    );
    writeFileSync(join(path, "pytorch_model.bin"), "");
    await expect(openModelFolder(path)).rejects.toThrow(/pytorch_model.bin can run code when read and is not/);
    mkdirSync(join(path, "model.safetensors"));
    await expect(openModelFolder(path)).rejects.toThrow(FileError);
  });
});

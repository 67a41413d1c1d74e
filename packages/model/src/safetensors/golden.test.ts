import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { golden, goldenJson, held, temporaryFolder } from "../../test/safetensors-files.ts";
import { openModelFolder } from "../folder/read.ts";
import type { SafetensorsDType } from "./dtypes.ts";
import { openSafetensors } from "./reader.ts";
import { writeSafetensors } from "./writer.ts";

interface Expected {
  readonly metadata: Record<string, string>;
  readonly tensors: readonly { name: string; dtype: SafetensorsDType; shape: number[]; hex: string }[];
}

describe("files written by Python's safetensors", () => {
  it.each(["dtypes", "shapes", "names", "none"])("%s: read as they are", async (name) => {
    const { metadata, tensors } = goldenJson<Expected>(`${name}.json`);
    const file = await openSafetensors(golden(`${name}.safetensors`));
    expect(new Set(file.names)).toEqual(new Set(tensors.map((tensor) => tensor.name)));
    expect(Object.entries(file.metadata)).toEqual(Object.entries(metadata));
    for (const { name: tensor, dtype, shape, hex } of tensors) {
      expect(file.info(tensor)).toMatchObject({ dtype, shape });
      expect(Buffer.from(await file.read(tensor)).toString("hex")).toBe(hex);
    }
    await file.close();
  });

  it.each(["dtypes", "shapes", "names", "none"])("%s: written the same, byte for byte", async (name) => {
    const { metadata, tensors } = goldenJson<Expected>(`${name}.json`);
    const path = join(temporaryFolder(), "copy.safetensors");
    const sources = tensors.map((tensor) =>
      held(tensor.name, tensor.dtype, tensor.shape, Buffer.from(tensor.hex, "hex"))
    );
    await writeSafetensors(path, sources, { metadata });
    expect(readFileSync(path).equals(readFileSync(golden(`${name}.safetensors`)))).toBe(true);
  });
});

describe("model folders written by transformers", () => {
  it.each(["mistral-sharded", "llama-tied"])("%s: every tensor read", async (name) => {
    const expected = goldenJson<Record<string, { shape: number[]; sha256: string }>>(`${name}/expected.json`);
    const folder = await openModelFolder(golden(name));
    // transformers stores tied weights once.
    const names = Object.keys(expected).filter(
      (tensor) => !(folder.config.tieEmbeddings && tensor === "lm_head.weight")
    );
    expect([...folder.weights.names].sort()).toEqual(names.sort());
    for (const tensor of names) {
      expect(folder.weights.info(tensor).shape).toEqual(expected[tensor]!.shape);
      const digest = createHash("sha256")
        .update(await folder.weights.read(tensor))
        .digest("hex");
      expect(digest).toBe(expected[tensor]!.sha256);
    }
    await folder.close();
  });
});

import { readFile } from "node:fs/promises";
import { join } from "node:path";

import { describe, expect, test } from "vitest";

import { importLlama2c } from "../../../tools/llama2c/import.mjs";
import { danu, inFolder, noShared, shared } from "./support.ts";

/** The greedy text that the authors of the model document. */
async function documentedText(): Promise<string> {
  const markdown = await readFile(join(shared, "weights/stories260K/stories260K.md"), "utf8");
  return /-t 0\.0\n([\s\S]*?)\n```/.exec(markdown)![1]!;
}

// Needs the published checkpoint beside the repository.
describe.skipIf(noShared)("the published stories260K checkpoint", () => {
  test("continues greedily with exactly the documented text", async () => {
    await inFolder(async (folder) => {
      const model = join(folder, "model");
      await importLlama2c({
        checkpoint: join(shared, "weights/stories260K/stories260K.bin"),
        tokenizer: join(shared, "tokenizers/tok512/tok512.model"),
        out: model,
      });
      const expected = await documentedText();
      const args = ["generate", "--model", model, "--temperature", "0"];
      const { code, stdout } = await danu([...args, "--json"]);
      expect(code).toBe(0);
      const { text, ids } = JSON.parse(stdout) as { text: string; ids: number[] };
      expect(text).toBe(expected);
      const started = "Once upon a time, there was a little girl";
      const plain = await danu([...args, "--prompt", started]);
      expect(plain.stdout.startsWith(expected.slice(0, 600))).toBe(true);
      expect(ids.length).toBeGreaterThan(200);
    });
  });
});

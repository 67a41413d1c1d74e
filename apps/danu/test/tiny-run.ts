import { writeFile } from "node:fs/promises";
import { join } from "node:path";

import { writeCorpus, type BuiltInCorpus } from "../src/quickstart/corpus.ts";

/** Pieces of the tokenizer of {@link tinyCorpus}. */
export const tinyVocabulary = 923;

/** Writes a corpus of some 35,000 tokens. */
export async function tinyCorpus(folder: string): Promise<BuiltInCorpus> {
  return writeCorpus(join(folder, "corpus"), 1, 300);
}

/** Writes a recipe of a model that trains in moments, with some of its fields changed. @returns its path */
export async function tinyRecipe(folder: string, changes: object = {}): Promise<string> {
  const path = join(folder, "recipe.json");
  const recipe = {
    model: {
      preset: "nano",
      hiddenSize: 32,
      intermediateSize: 64,
      layers: 2,
      heads: 4,
      keyValueHeads: 2,
      headDim: 8,
      slidingWindow: 24,
    },
    dtype: "f32",
    tokenizer: "corpus/tokenizer.model",
    data: [{ paths: ["corpus/stories.jsonl"] }],
    tokensPerBatch: 256,
    microBatchTokens: 128,
    stages: [
      { tokens: 256 * 14, sequenceLength: 32 },
      { tokens: 256 * 6, sequenceLength: 64 },
    ],
    learningRate: { peak: 3e-3 },
    validation: { every: 8, tokens: 512 },
    checkpoint: { every: 6 },
    sample: { maxTokens: 8 },
    ...changes,
  };
  await writeFile(path, JSON.stringify(recipe));
  return path;
}

import { dirname, resolve } from "node:path";

import type { FlagValues } from "../cli/flags.ts";
import { readJson } from "../cli/read-file.ts";
import { checkRecipe } from "./schema.ts";
import { dropUndefined } from "./layers.ts";
import type { DataSource, RecipeLayer } from "./recipe.ts";
import { isDataset } from "../run/run-data.ts";

/** Flags that stand for fields of a recipe. */
export const recipeFlags = {
  data: {
    type: "text",
    value: "PATH",
    multiple: true,
    help: "prepared datasets, or text to prepare: .txt, .jsonl, .json, each also .gz",
  },
  tokenizer: { type: "text", value: "PATH", help: "tokenizer.model, tokenizer.json, or a folder with one" },
  preset: {
    type: "text",
    value: "NAME",
    help: "nano, small, medium, danube-1.8b, danube2-1.8b, danube3-500m, danube3-4b (default nano)",
  },
  steps: {
    type: "integer",
    value: "N",
    min: 1,
    help: "optimizer steps, in place of the recipe's stages (default 1000)",
  },
  sequenceLength: { type: "integer", value: "T", min: 1, help: "tokens in a row (default that of the preset)" },
  tokensPerBatch: { type: "integer", value: "N", min: 1, help: "tokens of a step (default 8192)" },
  microBatchTokens: {
    type: "integer",
    value: "N",
    min: 1,
    help: "tokens through the model at once; less takes less memory (default 2048)",
  },
  learningRate: { type: "number", value: "X", min: 0, help: "peak learning rate (default by model size)" },
  schedule: {
    type: "choice",
    choices: ["cosine", "linear", "constant", "warmup-stable-decay"],
    help: "how it moves (default cosine)",
  },
  warmup: { type: "integer", value: "N", min: 0, help: "steps up to the peak (default a twentieth of the steps)" },
  weightDecay: { type: "number", value: "X", min: 0, help: "decoupled decay of the matrices (default 0.1)" },
  seed: { type: "integer", value: "N", min: 0, help: "of weights, data order and sample (default 1)" },
  validateEvery: { type: "integer", value: "N", min: 1, help: "steps between validations (default 100)" },
  checkpointEvery: { type: "integer", value: "N", min: 1, help: "steps between checkpoints (default 500)" },
  recompute: { type: "boolean", help: "compute activations twice to save memory" },
  samplePrompt: { type: "text", value: "TEXT", help: "start of the sample written at the end" },
} as const;

/** Reads a recipe file; its paths are relative to the file. @throws InputError */
export async function recipeFromFile(file: string): Promise<RecipeLayer> {
  const layer = checkRecipe(await readJson(file), file);
  const from = (path: string): string => resolve(dirname(file), path);
  return dropUndefined({
    ...layer,
    tokenizer: layer.tokenizer === undefined ? undefined : from(layer.tokenizer),
    data: layer.data?.map((source) => ({ ...source, paths: source.paths.map(from) })),
  });
}

/** The recipe fields that flags set. */
export function recipeFromFlags(flags: FlagValues<typeof recipeFlags>): RecipeLayer {
  return dropUndefined({
    ...(flags.preset === undefined ? {} : { model: { preset: flags.preset } }),
    tokenizer: flags.tokenizer === undefined ? undefined : resolve(flags.tokenizer),
    data: flags.data.length === 0 ? undefined : dataSources(flags.data.map((path) => resolve(path))),
    tokensPerBatch: flags.tokensPerBatch,
    microBatchTokens: flags.microBatchTokens,
    steps: flags.steps,
    sequenceLength: flags.sequenceLength,
    learningRate: dropUndefined({ kind: flags.schedule, peak: flags.learningRate, warmup: flags.warmup }),
    optimizer: dropUndefined({ weightDecay: flags.weightDecay }),
    validation: dropUndefined({ every: flags.validateEvery }),
    checkpoint: dropUndefined({ every: flags.checkpointEvery }),
    sample: dropUndefined({ prompt: flags.samplePrompt }),
    seed: flags.seed,
    recompute: flags.recompute ? true : undefined,
  });
}

/** Every prepared dataset is a source of its own; all text together is one. */
function dataSources(paths: readonly string[]): DataSource[] {
  const text = paths.filter((path) => !isDataset(path));
  const datasets = paths.filter(isDataset).map((path) => ({ paths: [path] }));
  return text.length === 0 ? datasets : [...datasets, { paths: text }];
}

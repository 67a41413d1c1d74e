import { join } from "node:path";
import { fromHuggingFace } from "../config.ts";
import type { DecoderConfig, HuggingFaceConfig } from "../config.ts";
import { FileError } from "../safetensors/errors.ts";
import { openSafetensors } from "../safetensors/reader.ts";
import type { TensorStore } from "../safetensors/reader.ts";
import { indexFileName } from "../safetensors/shard-index.ts";
import { openShardedSafetensors } from "../safetensors/sharded-reader.ts";
import { weightsFileName } from "../safetensors/sharded-writer.ts";
import { listFolder, listTokenizerFiles, readJsonObject } from "./files.ts";

/** A Hugging Face model folder, open for reading. */
export interface ModelFolder extends AsyncDisposable {
  readonly path: string;
  readonly config: DecoderConfig;
  /** `config.json` as it stands. */
  readonly huggingFaceConfig: HuggingFaceConfig;
  /** `generation_config.json` as it stands; `null` if there is none. */
  readonly generationConfig: Readonly<Record<string, unknown>> | null;
  /** Names of the tokenizer's files in the folder. */
  readonly tokenizerFiles: readonly string[];
  readonly weights: TensorStore;
  /** Frees the weight files; a second call does nothing. */
  close(): Promise<void>;
}

/**
 * Opens a Hugging Face model folder: checks `config.json` and the header of every weight file, reads no weights yet.
 * @throws ConfigError if the configuration is wrong or not supported
 * @throws SafetensorsError if a weight file breaks the format
 * @throws FileError if the folder or a file in it is missing or cannot be read
 */
export async function openModelFolder(path: string): Promise<ModelFolder> {
  const present = await listFolder(path);
  const configPath = join(path, "config.json");
  const huggingFaceConfig = await readJsonObject(configPath);
  const config = fromHuggingFace(huggingFaceConfig, configPath);
  const generationPath = join(path, "generation_config.json");
  const generationConfig = present.includes("generation_config.json") ? await readJsonObject(generationPath) : null;
  const tokenizerFiles = await listTokenizerFiles(path);
  const weights = await openWeights(path);
  const close = (): Promise<void> => weights.close();
  return {
    path, config, huggingFaceConfig, generationConfig, tokenizerFiles, weights, close, [Symbol.asyncDispose]: close,
  };
}

/**
 * Opens the weights of a model folder, in one file or in shards; with both, the one file counts, as in transformers.
 * @throws SafetensorsError if a file breaks the format
 * @throws FileError if there are no safetensors weights or a file cannot be read
 */
export async function openWeights(folder: string): Promise<TensorStore> {
  const present = await listFolder(folder);
  if (present.includes(weightsFileName)) return openSafetensors(join(folder, weightsFileName));
  if (present.includes(indexFileName)) return openShardedSafetensors(join(folder, indexFileName));
  const pickled = present.find((name) => /^(pytorch_model|consolidated).*\.(bin|pth)/.test(name));
  const hint = pickled
    ? `${pickled} can run code when read and is not: convert it with transformers' save_pretrained`
    : "check the folder";
  throw new FileError(`cannot read ${folder}: expected ${weightsFileName} or ${indexFileName}; ${hint}`, { folder });
}

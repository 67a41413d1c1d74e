import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { toHuggingFace } from "../config.ts";
import type { DecoderConfig, ModelType } from "../config.ts";
import { FileError, fileError } from "../safetensors/errors.ts";
import { quote } from "../safetensors/header.ts";
import { isPlainFileName } from "../safetensors/shard-index.ts";
import { removeOldWeights, stageWeights } from "../safetensors/sharded-writer.ts";
import { writeTogether } from "../safetensors/staged-files.ts";
import type { TensorSource } from "../safetensors/writer.ts";

/** What a model folder holds. */
export interface ModelFolderContents {
  readonly config: DecoderConfig;
  /** Weights under the names that transformers gives them, as `model.layers.0.mlp.up_proj.weight`. */
  readonly tensors: Iterable<TensorSource>;
  /** Other files by name, as those of `readTokenizerFiles`. */
  readonly files?: ReadonlyMap<string, Uint8Array | string>;
  /** Fields of `generation_config.json` beside the special ids, as `repetition_penalty`. */
  readonly generationConfig?: Readonly<Record<string, unknown>> | null;
  /** By default `mistral` with a sliding window, else `llama`. */
  readonly modelType?: ModelType;
  /** Most bytes of tensors in one weight file; by default 5 GB. */
  readonly maxShardBytes?: number;
}

const reserved = /^(config|generation_config)\.json$|\.safetensors$|\.safetensors\.index\.json$/;

/**
 * Writes a Hugging Face model folder, which transformers loads as it is. Every file is complete and synced before the
 * first takes its place, so an error changes nothing; weight files of an earlier, different split are removed last.
 * @throws ConfigError if the configuration is wrong
 * @throws SafetensorsError if a tensor does not fit its dtype and shape, or a name is given twice
 * @throws FileError if the folder cannot be written to or the disk is full
 */
export async function writeModelFolder(path: string, contents: ModelFolderContents): Promise<void> {
  const { config, tensors, files: others = new Map(), generationConfig, modelType, maxShardBytes } = contents;
  const huggingFaceConfig = toHuggingFace(config, modelType);
  checkFileNames(others.keys());
  await makeFolder(path);
  let weightFiles: readonly string[] = [];
  await writeTogether(async (files) => {
    const put = (name: string, content: Uint8Array | string): Promise<void> =>
      files.add(join(path, name), (sink) => sink.write(Buffer.from(content)));
    const shardOptions = maxShardBytes === undefined ? {} : { maxShardBytes };
    weightFiles = await stageWeights(files, path, [...tensors], shardOptions);
    for (const [name, content] of others) await put(name, content);
    await put("generation_config.json", toJson({ ...specialIds(config), ...generationConfig }));
    await put("config.json", toJson(huggingFaceConfig));
  });
  await removeOldWeights(path, weightFiles);
}

async function makeFolder(path: string): Promise<void> {
  try {
    await mkdir(path, { recursive: true });
  } catch (error) {
    throw fileError("write", path, error);
  }
}

/** Other files stay in the folder and leave the model's own files alone. */
function checkFileNames(names: Iterable<string>): void {
  for (const name of names) {
    if (isPlainFileName(name) && !reserved.test(name)) continue;
    const expected = "expected a plain file name other than those of the configuration and weights";
    throw new FileError(`cannot write the file ${quote(name)} into a model folder: ${expected}`, { name });
  }
}

function specialIds({ bosId, eosId, padId }: DecoderConfig): Record<string, number> {
  const ids = { bos_token_id: bosId, eos_token_id: eosId, pad_token_id: padId };
  return Object.fromEntries(Object.entries(ids).filter((entry): entry is [string, number] => entry[1] !== null));
}

function toJson(value: object): string {
  return `${JSON.stringify(value, null, 2)}\n`;
}

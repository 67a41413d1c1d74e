import { readdir, rm } from "node:fs/promises";
import { join } from "node:path";
import { SafetensorsError, fileError } from "./errors.ts";
import type { Metadata } from "./header.ts";
import { encodeShardIndex, indexFileName } from "./shard-index.ts";
import { checkFreeSpace, writeTogether } from "./staged-files.ts";
import type { StagedFiles } from "./staged-files.ts";
import { sourceBytes, stageSafetensors, totalBytes } from "./writer.ts";
import type { TensorSource } from "./writer.ts";

/** Name of the weights of a model that fits one file. */
export const weightsFileName = "model.safetensors";

/** Bytes of tensors in one shard unless told otherwise: 5 GB, as the Hugging Face hub recommends. */
export const defaultMaxShardBytes = 5_000_000_000;

const ownFiles = /^model(-\d{5}-of-\d{5})?\.safetensors$|^model\.safetensors\.index\.json$/;

/** How weights are split and labelled. */
export interface ShardOptions {
  /** Most bytes of tensors in one file; a single larger tensor gets a file of its own. By default 5 GB. */
  readonly maxShardBytes?: number;
  /** By default `{ format: "pt" }`. */
  readonly metadata?: Metadata;
}

/**
 * Writes weights into a folder: `model.safetensors` if they fit one shard, otherwise numbered shards and their index.
 * All files are complete and synced before the first takes its place; weight files of an earlier, different split go.
 * @throws SafetensorsError as `writeSafetensors`
 * @throws FileError if the folder cannot be written to or the disk is full; the old files are then untouched
 */
export async function writeWeights(
  folder: string,
  tensors: Iterable<TensorSource>,
  options: ShardOptions = {},
): Promise<void> {
  let written: readonly string[] = [];
  await writeTogether(async (files) => {
    written = await stageWeights(files, folder, [...tensors], options);
  });
  await removeOldWeights(folder, written);
}

/** Adds weights to files that take their places together, and returns the file names. */
export async function stageWeights(
  files: StagedFiles,
  folder: string,
  tensors: readonly TensorSource[],
  { maxShardBytes = defaultMaxShardBytes, ...options }: ShardOptions,
): Promise<readonly string[]> {
  const bytes = totalBytes(tensors, folder);
  await checkFreeSpace(folder, bytes);
  const shards = planShards(tensors, maxShardBytes, folder);
  const names = shardNames(shards.length);
  const weightMap = new Map<string, string>();
  for (const [index, shard] of shards.entries()) {
    const name = names[index]!;
    for (const tensor of shard) {
      if (weightMap.has(tensor.name)) {
        throw new SafetensorsError("duplicate-key", `${folder}: the tensor name ${tensor.name} is given twice`);
      }
      weightMap.set(tensor.name, name);
    }
    await stageSafetensors(files, join(folder, name), shard, options);
  }
  if (shards.length === 1) return names;
  await files.add(join(folder, indexFileName), (sink) => sink.write(encodeShardIndex(weightMap, bytes)));
  return [...names, indexFileName];
}

/** Removes weight files of an earlier split, which readers would otherwise prefer or mix up. */
export async function removeOldWeights(folder: string, keep: readonly string[]): Promise<void> {
  try {
    for (const name of await readdir(folder)) {
      if (ownFiles.test(name) && !keep.includes(name)) await rm(join(folder, name));
    }
  } catch (error) {
    throw fileError("clean", folder, error);
  }
}

/**
 * Splits tensors, in their order, into shards of at most `maxShardBytes`.
 * @throws SafetensorsError if the limit is no positive number or gives more shards than names have digits for
 */
export function planShards(
  tensors: readonly TensorSource[],
  maxShardBytes: number,
  source: string,
): readonly (readonly TensorSource[])[] {
  if (!(maxShardBytes > 0)) {
    throw new SafetensorsError("shard-size", `expected a largest shard above 0 bytes, got ${maxShardBytes}`);
  }
  let current: TensorSource[] = [];
  let filled = 0;
  const shards = [current];
  for (const tensor of tensors) {
    const bytes = sourceBytes(tensor, source);
    if (current.length > 0 && filled + bytes > maxShardBytes) {
      current = [];
      filled = 0;
      shards.push(current);
    }
    current.push(tensor);
    filled += bytes;
  }
  if (shards.length > 99_999) {
    throw new SafetensorsError("shard-size", `expected at most 99999 shards, got ${shards.length}; use larger shards`);
  }
  return shards;
}

function shardNames(count: number): readonly string[] {
  if (count === 1) return [weightsFileName];
  const five = (n: number): string => String(n).padStart(5, "0");
  return Array.from({ length: count }, (_, index) => `model-${five(index + 1)}-of-${five(count)}.safetensors`);
}

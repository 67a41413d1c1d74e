import { basename, dirname, join } from "node:path";
import { SafetensorsError } from "./errors.ts";
import { quote } from "./header.ts";
import type { TensorInfo } from "./header.ts";
import { readWholeFile } from "./read-file.ts";
import { noSuchTensor, openSafetensors } from "./reader.ts";
import type { SafetensorsFile, TensorStore } from "./reader.ts";
import { maxIndexBytes, readShardIndex } from "./shard-index.ts";

/**
 * Opens the shards that a `model.safetensors.index.json` names and checks that each holds the tensors mapped to it.
 * @throws SafetensorsError if the index or a shard breaks a rule, or a shard lacks a tensor
 * @throws FileError if a file cannot be read
 */
export async function openShardedSafetensors(indexPath: string): Promise<TensorStore> {
  const weightMap = readShardIndex(await readWholeFile(indexPath, maxIndexBytes), indexPath);
  const shards = new Map<string, SafetensorsFile>();
  try {
    for (const file of [...new Set(weightMap.values())].sort()) {
      shards.set(file, await openSafetensors(join(dirname(indexPath), file)));
    }
    const shardOf = new Map<string, SafetensorsFile>();
    for (const [name, file] of weightMap) {
      const shard = shards.get(file);
      if (!shard?.has(name)) {
        const message = `${basename(indexPath)} says that ${quote(name)} is in ${file}, but it is not`;
        throw new SafetensorsError("missing-tensor", `${indexPath}: ${message}; fetch the model again`, { name, file });
      }
      shardOf.set(name, shard);
    }
    return new ShardedSafetensors(indexPath, [...shards.values()], shardOf);
  } catch (error) {
    await closeAll(shards.values());
    throw error;
  }
}

class ShardedSafetensors implements TensorStore {
  readonly names: readonly string[];
  private readonly path: string;
  private readonly shards: readonly SafetensorsFile[];
  private readonly shardOf: ReadonlyMap<string, SafetensorsFile>;

  constructor(path: string, shards: readonly SafetensorsFile[], shardOf: ReadonlyMap<string, SafetensorsFile>) {
    this.path = path;
    this.shards = shards;
    this.shardOf = shardOf;
    this.names = shards.flatMap((shard) => shard.names.filter((name) => shardOf.get(name) === shard));
  }

  has(name: string): boolean {
    return this.shardOf.has(name);
  }

  info(name: string): TensorInfo {
    return this.shard(name).info(name);
  }

  async read(name: string, into?: Uint8Array): Promise<Uint8Array> {
    return this.shard(name).read(name, into);
  }

  async close(): Promise<void> {
    await closeAll(this.shards);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  private shard(name: string): SafetensorsFile {
    const shard = this.shardOf.get(name);
    if (!shard) throw noSuchTensor(this.path, name, this.names);
    return shard;
  }
}

async function closeAll(shards: Iterable<SafetensorsFile>): Promise<void> {
  for (const shard of shards) await shard.close();
}

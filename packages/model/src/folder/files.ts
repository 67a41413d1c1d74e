import { readdir } from "node:fs/promises";
import { join } from "node:path";
import { ConfigError } from "../config.ts";
import { fileError } from "../safetensors/errors.ts";
import { readWholeFile } from "../safetensors/read-file.ts";

/** Largest tokenizer file that is read, in bytes; those of 256,000-piece vocabularies stay under 40 MB. */
const maxTokenizerBytes = 500_000_000;

/** Largest configuration file that is read, in bytes. */
const maxConfigBytes = 16_000_000;

/** Names under which the tokenizer of a Hugging Face model folder is stored, the chat template included. */
const tokenizerFileNames: readonly string[] = [
  "tokenizer.model", "tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "added_tokens.json",
  "vocab.json", "merges.txt", "chat_template.jinja", "chat_template.json",
];

/** Which tokenizer files a folder has. */
export async function listTokenizerFiles(folder: string): Promise<readonly string[]> {
  const present = await listFolder(folder);
  return tokenizerFileNames.filter((name) => present.includes(name));
}

/**
 * Reads the tokenizer files of a folder, unchanged, by name: what `writeModelFolder` takes as `files`.
 * @throws FileError if one cannot be read
 */
export async function readTokenizerFiles(folder: string): Promise<ReadonlyMap<string, Uint8Array>> {
  const files = new Map<string, Uint8Array>();
  for (const name of await listTokenizerFiles(folder)) {
    files.set(name, await readWholeFile(join(folder, name), maxTokenizerBytes));
  }
  return files;
}

/** Names in a folder. @throws FileError if it is none */
export async function listFolder(folder: string): Promise<readonly string[]> {
  try {
    return await readdir(folder);
  } catch (error) {
    throw fileError("read", folder, error);
  }
}

/**
 * Reads a JSON configuration file.
 * @throws FileError if it cannot be read
 * @throws ConfigError if it is no JSON object
 */
export async function readJsonObject(path: string): Promise<Readonly<Record<string, unknown>>> {
  const bytes = await readWholeFile(path, maxConfigBytes);
  let value: unknown;
  try {
    value = JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(bytes));
  } catch (error) {
    throw new ConfigError(`${path}: expected JSON in UTF-8: ${(error as Error).message}`, { path });
  }
  if (typeof value !== "object" || value === null || Array.isArray(value)) {
    throw new ConfigError(`${path}: expected a JSON object`, { path });
  }
  return value as Record<string, unknown>;
}

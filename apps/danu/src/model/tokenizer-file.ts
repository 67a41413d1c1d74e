import { createHash } from "node:crypto";
import { existsSync } from "node:fs";
import { readdir, stat } from "node:fs/promises";
import { basename, join } from "node:path";

import { readTokenizerFiles, type DecoderConfig } from "@danu/model";
import {
  loadTokenizer, saveTokenizer, TokenizerError,
  type SaveOptions, type Tokenizer, type TokenizerFiles, type TokenizerFormat,
} from "@danu/tokenizer";

import { readInput } from "../cli/read-file.ts";

/** A tokenizer with the files it came from. */
export interface TokenizerFile {
  /** The vocabulary's file. */
  readonly path: string;
  readonly tokenizer: Tokenizer;
  /** SHA-256 of the vocabulary's file, 64 hexadecimal digits. */
  readonly sha256: string;
  readonly files: TokenizerFiles;
}

const maxTokenizerBytes = 2 ** 29;
const maxSettingsBytes = 2 ** 24;

/** Loads a tokenizer with the small files beside it.
 *  @param path a SentencePiece `.model`, a tokenizer.json, or a folder that holds one; of both the `.model` is taken
 *  @throws TokenizerError, InputError */
export async function openTokenizer(path: string): Promise<TokenizerFile> {
  const source = await readTokenizer(path);
  const sha256 = createHash("sha256").update(source.files.model).digest("hex");
  return { ...source, tokenizer: loadTokenizer(source.files), sha256 };
}

/** Reads the files of a tokenizer without loading it. @throws InputError */
export async function readTokenizer(path: string): Promise<Pick<TokenizerFile, "path" | "files">> {
  const file = (await stat(path)).isDirectory() ? await vocabularyIn(path) : path;
  return { path: file, files: { model: await readInput(file, maxTokenizerBytes), ...(await filesBeside(file)) } };
}

/** The `tokenizer.model` of a folder, its `tokenizer.json`, or its only `.model` file. */
async function vocabularyIn(folder: string): Promise<string> {
  const names = await readdir(folder);
  const usual = ["tokenizer.model", "tokenizer.json"].find((name) => names.includes(name));
  const models = names.filter((name) => name.endsWith(".model"));
  return join(folder, usual ?? (models.length === 1 ? models[0]! : "tokenizer.model"));
}

async function filesBeside(file: string): Promise<Omit<TokenizerFiles, "model">> {
  const read = async (name: string): Promise<Uint8Array | undefined> => {
    const path = join(file, "..", name);
    return existsSync(path) ? await readInput(path, maxSettingsBytes) : undefined;
  };
  const files = {
    config: await read("tokenizer_config.json"),
    specialTokensMap: await read("special_tokens_map.json"),
    addedTokens: await read("added_tokens.json"),
    chatTemplate: await read("chat_template.jinja"),
  };
  return Object.fromEntries(Object.entries(files).filter(([, bytes]) => bytes !== undefined));
}

/** Special ids as a model configuration has them. */
export function specialIds({ bosId, eosId, padId }: Tokenizer): Pick<DecoderConfig, "bosId" | "eosId" | "padId"> {
  const orNull = (id: number): number | null => (id < 0 ? null : id);
  return { bosId: orNull(bosId), eosId: orNull(eosId), padId: orNull(padId) };
}

/** The tokenizer's files of a model folder, for everybody: transformers, sentencepiece, llama.cpp and danu. */
export async function tokenizerFilesFor(
  { path, files: sources, tokenizer: given }: TokenizerFile,
  config: DecoderConfig,
): Promise<ReadonlyMap<string, Uint8Array | string>> {
  const beside = await readTokenizerFiles(join(path, ".."));
  const isWhole = ["tokenizer.json", "tokenizer_config.json"].every((name) => beside.has(name));
  if (isWhole && beside.has(basename(path))) return beside;
  const tokenizer = sources.config === undefined ? withBos(sources.model, given) : given;
  const options = { modelMaxLength: config.maxPositions };
  const files = new Map<string, Uint8Array>();
  for (const format of ["sentencepiece", "huggingface"] as const) {
    for (const [name, content] of savedIn(tokenizer, format, options)) files.set(name, content);
  }
  return files;
}

/** A vocabulary as danu trains with it, where no file says otherwise: every text begins with BOS. */
export function withBos(model: Uint8Array, tokenizer: Tokenizer = loadTokenizer(model)): Tokenizer {
  if (tokenizer.bosId < 0 || tokenizer.addsBos) return tokenizer;
  return loadTokenizer({ model, config: Buffer.from('{"add_bos_token": true}') });
}

/** The files of one format; none where the format cannot hold the vocabulary. */
function savedIn(
  tokenizer: Tokenizer, format: TokenizerFormat, options: SaveOptions,
): ReadonlyMap<string, Uint8Array> {
  try {
    return saveTokenizer(tokenizer, format, options);
  } catch (error) {
    if (error instanceof TokenizerError && error.code === "unsupported-model") return new Map();
    throw error;
  }
}

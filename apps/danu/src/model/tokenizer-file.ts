import { createHash } from "node:crypto";
import { readdir, stat } from "node:fs/promises";
import { join } from "node:path";

import { readTokenizerFiles, type DecoderConfig } from "@danu/model";
import { loadTokenizer, type Tokenizer } from "@danu/tokenizer";

import { readInput } from "../cli/read-file.ts";

/** A tokenizer with the file it came from. */
export interface TokenizerFile {
  readonly path: string;
  readonly tokenizer: Tokenizer;
  /** SHA-256 of the file, 64 hexadecimal digits. */
  readonly sha256: string;
  readonly bytes: Uint8Array;
}

const maxTokenizerBytes = 2 ** 29;

/** Loads a tokenizer.
 *  @param path a SentencePiece `.model`, or a folder that holds one
 *  @throws TokenizerError, InputError */
export async function openTokenizer(path: string): Promise<TokenizerFile> {
  const file = (await stat(path)).isDirectory() ? await modelIn(path) : path;
  const bytes = await readInput(file, maxTokenizerBytes);
  const sha256 = createHash("sha256").update(bytes).digest("hex");
  return { path: file, tokenizer: loadTokenizer(bytes), sha256, bytes };
}

/** The `tokenizer.model` of a folder, or its only other `.model` file. */
async function modelIn(folder: string): Promise<string> {
  const names = (await readdir(folder)).filter((name) => name.endsWith(".model")).sort();
  const name = names.includes("tokenizer.model") || names.length !== 1 ? "tokenizer.model" : names[0]!;
  return join(folder, name);
}

/** Special ids as a model configuration has them. */
export function specialIds({ bosId, eosId, padId }: Tokenizer): Pick<DecoderConfig, "bosId" | "eosId" | "padId"> {
  const orNull = (id: number): number | null => (id < 0 ? null : id);
  return { bosId: orNull(bosId), eosId: orNull(eosId), padId: orNull(padId) };
}

/** The tokenizer's files of a model folder, so that transformers and danu load it from there. */
export async function tokenizerFilesFor(
  { path, tokenizer, bytes }: TokenizerFile,
  config: DecoderConfig,
): Promise<ReadonlyMap<string, Uint8Array | string>> {
  const beside = await readTokenizerFiles(join(path, ".."));
  if (path.endsWith("tokenizer.model") && beside.has("tokenizer_config.json")) return beside;
  const nameOf = (id: number): string | null => (id < 0 ? null : tokenizer.pieces[id]!);
  const settings = {
    tokenizer_class: "LlamaTokenizer",
    bos_token: nameOf(tokenizer.bosId),
    eos_token: nameOf(tokenizer.eosId),
    unk_token: nameOf(tokenizer.unkId),
    pad_token: nameOf(tokenizer.padId),
    add_bos_token: tokenizer.bosId >= 0,
    add_eos_token: false,
    clean_up_tokenization_spaces: false,
    legacy: false,
    model_max_length: config.maxPositions,
    sp_model_kwargs: {},
    use_default_system_prompt: false,
  };
  return new Map<string, Uint8Array | string>([
    ["tokenizer.model", bytes],
    ["tokenizer_config.json", `${JSON.stringify(settings, null, 2)}\n`],
  ]);
}

import { checkInteger, DataError } from "../data-error.ts";
import { listFiles } from "../readers/list-files.ts";
import { readDocuments, type ReadOptions, type TextDocument } from "../readers/read-documents.ts";
import type { TextBatchEncoder, TokenEncoder } from "../token-encoder.ts";
import { encodeDocuments } from "./encode-documents.ts";
import { manifestName, type Manifest, type SplitEntry } from "./manifest.ts";
import { OutputFolder } from "./output-folder.ts";
import { splitTail } from "./split-tail.ts";
import { SplitWriter } from "./split-writer.ts";
import { validationChooser } from "./validation-split.ts";

/** How far {@link prepareDataset} is. */
export interface PrepareProgress {
  readonly documents: number;
  readonly tokens: number;
  /** Bytes taken from the disk so far, of `totalBytes`. */
  readonly bytes: number;
  readonly totalBytes: number;
  /** File being read. */
  readonly source: string;
}

/** Settings of {@link prepareDataset}. */
export interface PrepareOptions {
  /** Files and folders to read, in this order. */
  readonly inputs: readonly string[];
  readonly tokenizer: TokenEncoder;
  /** Encodes the documents instead, with the same ids, on several threads. */
  readonly batchEncoder?: TextBatchEncoder;
  /** SHA-256 of the tokenizer file, 64 hexadecimal digits (see {@link hashFile}). */
  readonly tokenizerHash: string;
  /** Folder to make. */
  readonly out: string;
  /** Share of the documents held out for validation, from 0 to below 1; 0.01 by default. */
  readonly validationFraction?: number;
  /** Chooses the validation documents; 0 by default. */
  readonly seed?: number;
  /** Begin token before each document; on by default, as Llama has it. */
  readonly addBos?: boolean;
  /** End token after each document; on by default. */
  readonly addEos?: boolean;
  /** Tokens after which a shard is closed; 64 Mi by default. */
  readonly shardTokens?: number;
  /** Replaces a dataset that stands in `out`, once the new one is whole. */
  readonly overwrite?: boolean;
  readonly read?: ReadOptions;
  /** Stops between two documents and leaves nothing; the promise is rejected with the signal's reason. */
  readonly signal?: AbortSignal;
  /** Called after every document. */
  readonly onProgress?: (progress: PrepareProgress) => void;
}

type Settings = Required<Omit<PrepareOptions, "read" | "signal" | "onProgress" | "batchEncoder">>;

/** Tokenises a corpus once into a folder of token shards with a manifest, split into training and validation. The same
 *  inputs give the same bytes. Where the corpus has too few documents for both splits to get one, the end of the token
 *  sequence is held out instead and the manifest says so (`validationSplit: "tail"`). The folder appears when whole;
 *  after an error nothing is left and what stood there before still stands.
 *  @throws DataError of {@link readDocuments}, and `bad-option`, `empty-corpus`, `too-short`, `bad-token`,
 *  `output-exists`, `write-failed` */
export async function prepareDataset(options: PrepareOptions): Promise<Manifest> {
  const settings = checked(options);
  const output = new OutputFolder(settings.out, settings.overwrite);
  try {
    const manifest = await writeShards(output.partial, settings, options);
    output.writeText(manifestName, `${JSON.stringify(manifest, null, 2)}\n`);
    output.publish();
    return manifest;
  } catch (error) {
    output.abandon();
    throw error;
  }
}

function checked(options: PrepareOptions): Settings {
  const { validationFraction = 0.01, seed = 0, shardTokens = 64 * 1024 * 1024, addBos = true, addEos = true } = options;
  const { tokenizer, tokenizerHash } = options;
  checkInteger("seed", seed, 0);
  checkInteger("shardTokens", shardTokens, 1, 2 ** 31);
  checkInteger("tokenizer.vocabularySize", tokenizer.vocabularySize, 1, 2 ** 31);
  if (!(validationFraction >= 0 && validationFraction < 1)) {
    const message = `validationFraction: expected a number from 0 to below 1, got ${validationFraction}`;
    throw new DataError("bad-option", message, { validationFraction });
  }
  if (!/^[0-9a-f]{64}$/.test(tokenizerHash)) {
    throw new DataError("bad-option", "tokenizerHash: expected 64 hexadecimal digits");
  }
  if (addBos) requireId("begin (BOS)", "addBos", tokenizer.bosId, tokenizer.vocabularySize);
  if (addEos) requireId("end (EOS)", "addEos", tokenizer.eosId, tokenizer.vocabularySize);
  const overwrite = options.overwrite ?? false;
  return { ...options, validationFraction, seed, shardTokens, addBos, addEos, overwrite };
}

function requireId(token: string, option: string, id: number, vocabularySize: number): void {
  if (Number.isInteger(id) && id >= 0 && id < vocabularySize) return;
  const message = `the tokenizer has no ${token} token among its ids (${id}); set ${option} to false`;
  throw new DataError("bad-option", message, { option, id });
}

async function writeShards(folder: string, settings: Settings, options: PrepareOptions): Promise<Manifest> {
  const { tokenizer, tokenizerHash, shardTokens, validationFraction } = settings;
  const open = (name: string): SplitWriter =>
    new SplitWriter({ folder, name, vocabularySize: tokenizer.vocabularySize, tokenizerHash, shardTokens });
  const writers = { train: open("train"), validation: open("validation") };
  let splits = await use(writers, () => writeDocuments(writers, settings, options));
  const { train, validation } = splits;
  if (train.tokens + validation.tokens === 0) {
    const { inputs } = settings;
    throw new DataError("empty-corpus", `the inputs hold no text: ${inputs.join(", ")}`, { inputs });
  }
  const isTail = validationFraction > 0 && (train.tokens === 0 || validation.tokens === 0);
  if (isTail) {
    const whole: SplitEntry = train.tokens > 0 ? train : validation;
    const tails = { train: open("train"), validation: open("validation") };
    splits = await use(tails, () => splitTail(folder, whole, validationFraction, tails.train, tails.validation));
  }
  return manifestOf(settings, isTail ? "tail" : "documents", splits);
}

async function use(
  writers: { train: SplitWriter; validation: SplitWriter },
  write: () => Promise<void> | void,
): Promise<Manifest["splits"]> {
  try {
    await write();
    return { train: writers.train.finish(), validation: writers.validation.finish() };
  } catch (error) {
    writers.train.abort();
    writers.validation.abort();
    throw error;
  }
}

async function writeDocuments(
  writers: { readonly train: SplitWriter; readonly validation: SplitWriter },
  settings: Settings,
  options: PrepareOptions,
): Promise<void> {
  const { tokenizer } = settings;
  const isValidation = validationChooser(settings.seed, settings.validationFraction);
  const before = settings.addBos ? [tokenizer.bosId] : [];
  const after = settings.addEos ? [tokenizer.eosId] : [];
  const files = await listFiles(settings.inputs, options.read?.format);
  const totalBytes = files.reduce((sum, file) => sum + file.bytes, 0);
  let bytes = 0;
  const onBytes = (count: number): void => {
    bytes += count;
    options.read?.onBytes?.(count);
  };
  const documents = readDocuments(settings.inputs, { ...options.read, onBytes });
  for await (const { document, ids } of encodeDocuments(documents, tokenizer, options.batchEncoder)) {
    options.signal?.throwIfAborted();
    const writer = isValidation(document.index) ? writers.validation : writers.train;
    addDocument(writer, document, [before, ids, after]);
    const tokens = writers.train.tokens + writers.validation.tokens;
    options.onProgress?.({ documents: document.index + 1, tokens, bytes, totalBytes, source: document.source });
  }
}

function addDocument(writer: SplitWriter, document: TextDocument, parts: readonly ArrayLike<number>[]): void {
  try {
    writer.add(parts, Buffer.byteLength(document.text, "utf8"));
  } catch (error) {
    if (!(error instanceof DataError) || error.code !== "bad-token") throw error;
    const where = `${document.source}, document ${document.index}`;
    throw new DataError("bad-token", `${where}: ${error.message}`, { ...error.data, source: document.source }, error);
  }
}

function manifestOf(settings: Settings, validationSplit: "documents" | "tail", splits: Manifest["splits"]): Manifest {
  const { vocabularySize, bosId, eosId } = settings.tokenizer;
  const { addBos, addEos, seed, validationFraction } = settings;
  return {
    format: "danu-dataset",
    version: 1,
    tokenizer: { sha256: settings.tokenizerHash, vocabularySize, bosId, eosId },
    addBos,
    addEos,
    seed,
    validationFraction,
    validationSplit,
    splits,
  };
}

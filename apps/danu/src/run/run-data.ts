import { existsSync } from "node:fs";
import { join } from "node:path";

import { openDataset, prepareDataset, type Dataset, type WeightedStream } from "@danu/data";

import { bytes, short } from "../cli/format.ts";
import type { Reporter } from "../cli/reporter.ts";
import type { DataSource, Recipe } from "../recipe/recipe.ts";
import type { TokenizerFile } from "../model/tokenizer-file.ts";

/** The token data of a run, open. */
export interface RunData extends Disposable {
  readonly datasets: readonly Dataset[];
  /** Training tokens, of one source or weighted. */
  readonly train: readonly WeightedStream[];
  readonly trainTokens: number;
}

/** Where the data of a run is prepared. */
export interface RunDataOptions {
  readonly recipe: Recipe;
  readonly tokenizer: TokenizerFile;
  /** The run folder. */
  readonly folder: string;
  readonly reporter: Reporter;
  readonly signal: AbortSignal;
}

/** Folder in a run folder where a source that is plain text is prepared. */
function preparedFolder(folder: string, index: number): string {
  return join(folder, index === 0 ? "data" : `data-${index + 1}`);
}

/** Folders that `openRunData` may make in a run folder. */
export function preparedFolders(folder: string, sources: readonly DataSource[]): string[] {
  return sources.map((_, index) => preparedFolder(folder, index));
}

/** Opens the datasets of a recipe; text is tokenised into the run folder first, once.
 *  @throws DataError */
export async function openRunData(options: RunDataOptions): Promise<RunData> {
  const { recipe, tokenizer } = options;
  const datasets: Dataset[] = [];
  const close = (): void => {
    for (const dataset of datasets) dataset.close();
  };
  try {
    for (const [index, source] of recipe.data.entries()) {
      const folder = await datasetFolder(source, index, options);
      datasets.push(openDataset(folder, { tokenizerHash: tokenizer.sha256 }));
    }
    const longest = Math.max(...recipe.stages.map((stage) => stage.sequenceLength));
    for (const { train } of datasets) train.requireSequence(longest);
  } catch (error) {
    close();
    throw error;
  }
  const train = datasets.map(({ train: stream }, i) => ({ stream, weight: recipe.data[i]!.weight ?? stream.tokens }));
  return {
    datasets,
    train,
    trainTokens: train.reduce((sum, { stream }) => sum + stream.tokens, 0),
    [Symbol.dispose]: close,
  };
}

async function datasetFolder(source: DataSource, index: number, options: RunDataOptions): Promise<string> {
  const [only] = source.paths;
  if (source.paths.length === 1 && isDataset(only!)) return only!;
  const out = preparedFolder(options.folder, index);
  if (!isDataset(out)) await prepare(source, out, options);
  return out;
}

/** True for a folder that `danu data prepare` made. */
export function isDataset(path: string): boolean {
  return existsSync(join(path, "dataset.json"));
}

async function prepare(
  source: DataSource,
  out: string,
  { recipe, tokenizer, reporter, signal }: RunDataOptions,
): Promise<void> {
  const manifest = await prepareDataset({
    inputs: source.paths,
    tokenizer: tokenizer.tokenizer,
    tokenizerHash: tokenizer.sha256,
    out,
    signal,
    validationFraction: recipe.validation.fraction,
    seed: recipe.seed,
    onProgress: ({ bytes: done, totalBytes, tokens }) => {
      reporter.progress(`preparing data: ${bytes(done)} of ${bytes(totalBytes)}, ${short(tokens)} tokens`);
    },
  });
  const { train, validation } = manifest.splits;
  reporter.line(
    `prepared ${short(train.tokens)} tokens for training and ${short(validation.tokens)} for validation in ${out}`,
  );
}

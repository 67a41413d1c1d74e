import { BpeTrainer, loadTokenizer, type TokenizerFiles } from "@danu/tokenizer";

import { benchWorstCases, milliseconds, type WorstCase } from "./worst-cases.ts";

/** Speed of a tokenizer on one core. */
export interface TokenizerResult {
  /** Whole files as documents, in MB of UTF-8 per second. */
  readonly encodeMBps: number;
  /** The same text line by line. */
  readonly linesMBps: number;
  readonly decodeMBps: number;
  /** First load in the process. */
  readonly loadMs: number;
  readonly tokens: number;
  readonly bytes: number;
  readonly worstCases: readonly WorstCase[];
}

/** Times each kind of work over all texts, best of a few runs.
 *  @param worstCases whether to time the hard texts too, which takes some seconds */
export function benchTokenizer(files: TokenizerFiles, texts: readonly string[], worstCases: boolean): TokenizerResult {
  const start = performance.now();
  const tokenizer = loadTokenizer(files);
  const loadMs = performance.now() - start;
  const bytes = texts.reduce((sum, text) => sum + Buffer.byteLength(text), 0);
  const lines = texts.flatMap((text) => text.split("\n"));
  const encoded = texts.map((text) => tokenizer.encode(text));
  const rate = (work: () => void): number => {
    let best = Infinity;
    const end = performance.now() + 300;
    // Short texts take more runs until the code is compiled.
    for (let run = 0; run < 5 || performance.now() < end; run++) best = Math.min(best, milliseconds(work));
    return bytes / best / 1000;
  };
  return {
    encodeMBps: rate(() => { for (const text of texts) tokenizer.encode(text); }),
    linesMBps: rate(() => { for (const line of lines) tokenizer.encode(line); }),
    decodeMBps: rate(() => { for (const ids of encoded) tokenizer.decode(ids); }),
    loadMs,
    tokens: encoded.reduce((sum, ids) => sum + ids.length, 0),
    bytes,
    worstCases: worstCases ? benchWorstCases(tokenizer) : [],
  };
}

/** Speed of training a vocabulary, on one core. */
export interface TrainingResult {
  readonly pieces: number;
  readonly bytes: number;
  /** Time on the clock, files read before. */
  readonly seconds: number;
  /** Time of the processor, the compiler's threads included. */
  readonly processorSeconds: number;
}

/** Times one training, the first in the process. */
export function benchTraining(texts: readonly Uint8Array[], vocabularySize: number): TrainingResult {
  const used = process.cpuUsage();
  const start = performance.now();
  const trainer = new BpeTrainer({ vocabularySize });
  for (const text of texts) trainer.add(text);
  trainer.train();
  const { user, system } = process.cpuUsage(used);
  const bytes = texts.reduce((sum, text) => sum + text.length, 0);
  return {
    pieces: vocabularySize, bytes, seconds: (performance.now() - start) / 1000, processorSeconds: (user + system) / 1e6,
  };
}

import {
  Decoder, flopsPerToken, parameterCount, preset, Random, TextSession,
  type DecoderConfig, type DecoderParameters, type PresetName,
} from "@danu/model";
import { bytesPerElement, disposeTree } from "@danu/tensor";

import type { BenchMachine } from "./machine.ts";
import { profile, type OpTime } from "./profile.ts";
import { benchWeights } from "./weights.ts";

/** What to run. */
export interface GenerationOptions {
  readonly preset: PresetName;
  readonly dtype: "f32" | "bf16";
  /** Tokens of the prompt. */
  readonly prompt: number;
  /** How often. */
  readonly runs: number;
  readonly profile: boolean;
}

interface GenerationResult {
  readonly preset: PresetName;
  readonly dtype: "f32" | "bf16";
  /** Null on a GPU. */
  readonly threads: number | null;
  readonly prompt: number;
  /** By the median. */
  readonly tokensPerSecond: number;
  readonly bestTokensPerSecond: number;
  /** Time by op of one more prompt or token, if it was asked for. */
  readonly profile?: readonly OpTime[];
}

/** Speed of reading a prompt. */
export interface PrefillResult extends GenerationResult {
  readonly gflops: number;
  readonly shareOfPeak: number;
}

/** Speed of adding tokens. */
export interface DecodeResult extends GenerationResult {
  /** Tokens added in a run. */
  readonly tokens: number;
  /** Of all runs from their first token on: with what it takes to begin to repeat, and again whenever a cache grows. */
  readonly wholeTokensPerSecond: number;
  readonly gigabytesPerSecond: number;
  /** Of the rate at which all threads read as many bytes, measured between the runs; on a GPU of that of a copy. */
  readonly shareOfBandwidth: number;
}

/** Measures reading a prompt, up to the first token chosen. */
export async function benchPrefill(machine: BenchMachine, options: GenerationOptions): Promise<PrefillResult> {
  const { prompt, dtype } = options;
  using bench = new GenerationBench(machine, options, prompt + 1);
  const { config } = bench;
  let peak = 0;
  const times: number[] = [];
  await bench.run(1);
  for (let i = 0; i < options.runs; i++) {
    peak = Math.max(peak, machine.peak(dtype, 30));
    times.push((await bench.run(1))[0]!);
  }
  // A third of training is the forward pass; the head sees the last token alone.
  const flops = prompt * flopsPerToken(config, prompt) / 3 - (prompt - 1) * 2 * config.hiddenSize * config.vocabularySize;
  const profiled = options.profile ? { profile: await profile(machine, () => bench.run(1)) } : {};
  const result = { ...bench.about, ...profiled, ...ratesOf(times, prompt) };
  const flopsPerSecond = (flops * result.tokensPerSecond) / prompt;
  return { ...result, gflops: flopsPerSecond / 1e9, shareOfPeak: flopsPerSecond / peak };
}

/** Measures tokens added one at a time: model, scores, choice of the best. */
export async function benchDecode(
  machine: BenchMachine, options: GenerationOptions & { readonly tokens?: number | undefined },
): Promise<DecodeResult> {
  // A GPU does as many in the time that it takes to begin to repeat.
  const { prompt, dtype, tokens = machine.threads === null ? 256 : 64 } = options;
  using bench = new GenerationBench(machine, options, prompt + tokens);
  const { config } = bench;
  const { hiddenSize, vocabularySize, layers, keyValueHeads, headDim, tieEmbeddings } = config;
  const weights = parameterCount(config) - (tieEmbeddings ? 0 : vocabularySize * hiddenSize);
  const keysAndValues = 2 * layers * keyValueHeads * headDim * (prompt + tokens / 2);
  const bytes = (weights + keysAndValues) * bytesPerElement[dtype];
  let bandwidth = 0;
  const times: number[] = [];
  await bench.run(2);
  for (let i = 0; i < options.runs; i++) {
    bandwidth = Math.max(bandwidth, await machine.bandwidth(bytes));
    times.push(...(await bench.run(tokens)).slice(1));
  }
  const profiled = options.profile ? { profile: await bench.profileToken() } : {};
  const result = { ...bench.about, ...profiled, ...ratesOf(times, 1) };
  const bytesPerSecond = bytes * result.tokensPerSecond;
  const wholeTokensPerSecond = times.length / times.reduce((sum, time) => sum + time, 0);
  return {
    ...result, tokens, wholeTokensPerSecond, gigabytesPerSecond: bytesPerSecond / 1e9, shareOfBandwidth: bytesPerSecond / bandwidth,
  };
}

/** Rates by the median and the least of some times. @param tokens in each */
function ratesOf(times: readonly number[], tokens: number): Pick<GenerationResult, "tokensPerSecond" | "bestTokensPerSecond"> {
  const sorted = [...times].sort((a, b) => a - b);
  return { tokensPerSecond: tokens / sorted[sorted.length >> 1]!, bestTokensPerSecond: tokens / sorted[0]! };
}

/** A model of a preset with weights that nobody has trained, and a prompt. */
class GenerationBench implements Disposable {
  readonly config: DecoderConfig;
  readonly #machine: BenchMachine;
  readonly #options: GenerationOptions;
  readonly #decoder: Decoder;
  readonly #params: DecoderParameters;
  readonly #prompt: Int32Array;

  constructor(machine: BenchMachine, options: GenerationOptions, positions: number) {
    const { maxPositions } = preset(options.preset);
    this.config = preset(options.preset, { maxPositions: Math.max(maxPositions, positions) });
    this.#machine = machine;
    this.#options = options;
    this.#decoder = new Decoder(machine.device, this.config, positions);
    this.#params = benchWeights(machine.device, this.config, options.dtype);
    const random = new Random(1);
    this.#prompt = Int32Array.from({ length: options.prompt }, () => random.bits() % this.config.vocabularySize);
  }

  /** Reads the prompt and adds tokens. @returns seconds of each token; the first has those of the prompt */
  async run(tokens: number): Promise<number[]> {
    using session = new TextSession(this.#decoder, this.#params);
    const times: number[] = [];
    let last = performance.now();
    for await (const _ of session.generate(this.#prompt, { maxTokens: tokens, temperature: 0 })) {
      const now = performance.now();
      times.push((now - last) / 1000);
      last = now;
    }
    return times;
  }

  /** What is known without the times. */
  get about(): Pick<GenerationResult, "preset" | "dtype" | "threads" | "prompt"> {
    const { preset: name, dtype, prompt } = this.#options;
    return { preset: name, dtype, threads: this.#machine.threads, prompt };
  }

  /** Times by op of one token after the prompt. */
  async profileToken(): Promise<readonly OpTime[]> {
    using session = new TextSession(this.#decoder, this.#params);
    // Drawn rather than the best, beside which a GPU computes the one after it.
    const text = session.generate(this.#prompt, { maxTokens: 2 });
    await text.next();
    return profile(this.#machine, () => text.next());
  }

  [Symbol.dispose](): void {
    disposeTree(this.#params);
    this.#decoder[Symbol.dispose]();
  }
}

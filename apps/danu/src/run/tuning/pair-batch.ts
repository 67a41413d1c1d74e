import { packPairs, type PairBatch, type PairExample, type TrainingExample } from "@danu/data";
import { sequenceLogProbabilities } from "@danu/dpo";
import type { AdaptedParameters, Decoder } from "@danu/model";
import { neg, scope, tensor, type Device, type Tensor } from "@danu/tensor";

import { toDecoderBatch, type DecoderBatch } from "../decoder-batch.ts";

/** Pairs on a device, all their answers in one packed row. */
export interface PairTensors extends DecoderBatch {
  readonly host: PairBatch;
  /** The answer of each target: i chosen, P + i rejected, 2 P + i mismatched; i32 `[1, T]`. */
  readonly segments: Tensor;
  /** Answers, 2 P or 3 P. */
  readonly sequences: number;
  /** What the reference says of them, if it was computed before; f32 `[sequences]`. */
  readonly reference: Tensor | null;
  /** Of dropout; null outside of training. */
  readonly randomSeed: number | null;
}

/** How pairs are put together. */
export interface PairPacking {
  readonly examples: readonly PairExample[];
  /** Adds for every pair its prompt with the chosen answer of another, by which KTO estimates a divergence. */
  readonly mismatched: boolean;
  /** Most tokens of a sequence. */
  readonly maxLength: number;
}

/** Copies pairs to a device. @param indices which of the examples */
export function uploadPairs(
  device: Device, { examples, mismatched, maxLength }: PairPacking, indices: readonly number[],
  { reference = null, randomSeed = null }: { reference?: Float32Array | null; randomSeed?: number | null } = {},
): PairTensors {
  const more = mismatched ? indices.map((index) => mismatch(examples, index, maxLength)) : [];
  const host = packPairs(examples, indices, more);
  return {
    ...toDecoderBatch(device, host),
    host,
    segments: tensor(device, host.segments, [1, host.sequenceLength], "i32"),
    sequences: 2 * host.pairs + more.length,
    reference: reference === null ? null : tensor(device, reference, [reference.length]),
    randomSeed,
  };
}

/** Log-probability of every answer of a batch. @returns f32 `[sequences]` */
export function answerLogProbabilities(
  decoder: Decoder, weights: AdaptedParameters, { input, targets, segments, sequences }: PairTensors,
): Tensor {
  return scope(() => (
    sequenceLogProbabilities(neg(decoder.tokenLosses(weights, input, targets)), segments, sequences)
  ));
}

/** The prompt of a pair with the chosen answer of the next one. */
function mismatch(examples: readonly PairExample[], index: number, maxLength: number): TrainingExample {
  const [asked, answered] = [examples[index]!.chosen, examples[(index + 1) % examples.length]!.chosen];
  const [prompt, answer] = [startOfAnswer(asked), startOfAnswer(answered)];
  const ids = [...asked.ids.subarray(0, prompt), ...answered.ids.subarray(answer)].slice(0, maxLength);
  const trained = [...new Uint8Array(prompt), ...answered.trained.subarray(answer)].slice(0, maxLength);
  return { ids: Int32Array.from(ids), trained: Uint8Array.from(trained) };
}

function startOfAnswer({ trained }: TrainingExample): number {
  return trained.indexOf(1, 1);
}

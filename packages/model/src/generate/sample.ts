import type { Random } from "../random.ts";
import { GenerationError } from "./errors.ts";

/** How the next token is chosen from its scores. */
export interface SamplingOptions {
  /** Divides the scores; 0 always takes the best token. 1 by default. */
  readonly temperature?: number;
  /** Choose among this many best tokens only; 0 for all. */
  readonly topK?: number;
  /** Choose among the best tokens whose probabilities add up to this only; 1 for all. Holtzman et al. 2020. */
  readonly topP?: number;
  /** Scores of tokens already seen are divided (multiplied, if negative) by this; 1 changes nothing. Keskar et al. 2019. */
  readonly repetitionPenalty?: number;
}

/** Checks the ranges of sampling options. @throws GenerationError naming the option, its range and the value */
export function checkSampling({ temperature = 1, topK = 0, topP = 1, repetitionPenalty = 1 }: SamplingOptions): void {
  const check = (name: string, ok: boolean, expected: string, value: number): void => {
    if (!ok) throw new GenerationError(`generate: expected ${name} ${expected}, got ${value}`);
  };
  check("temperature", temperature >= 0 && temperature <= 100, "from 0 to 100", temperature);
  check("topK", Number.isInteger(topK) && topK >= 0, "to be a whole number of at least 0", topK);
  check("topP", topP > 0 && topP <= 1, "above 0 and at most 1", topP);
  check("repetitionPenalty", repetitionPenalty >= 0.1 && repetitionPenalty <= 10, "from 0.1 to 10", repetitionPenalty);
}

/** Chooses a token. Order of the steps as in transformers: penalty, temperature, top-k, top-p.
 *  @param logits scores `[V]`; changed by the penalty  @param seen ids of the text so far */
export function sample(logits: Float32Array, seen: Iterable<number>, options: SamplingOptions, random: Random): number {
  const { temperature = 1, topK = 0, topP = 1, repetitionPenalty = 1 } = options;
  if (repetitionPenalty !== 1) penalise(logits, new Set(seen), repetitionPenalty);
  if (temperature === 0) return bestOf(logits);
  const wanted = topK === 0 ? logits.length : Math.min(topK, logits.length);
  const ranked = wanted === logits.length && topP === 1
    ? Array.from(logits.keys())
    : Array.from(logits.keys()).sort((a, b) => logits[b]! - logits[a]! || a - b).slice(0, wanted);
  const top = ranked.reduce((most, id) => Math.max(most, logits[id]!), -Infinity);
  const weights = ranked.map((id) => Math.exp((logits[id]! - top) / temperature));
  return draw(ranked, nucleus(weights, topP), random);
}

function penalise(logits: Float32Array, seen: ReadonlySet<number>, penalty: number): void {
  for (const id of seen) logits[id] = logits[id]! > 0 ? logits[id]! / penalty : logits[id]! * penalty;
}

function bestOf(logits: Float32Array): number {
  let best = 0;
  for (let id = 1; id < logits.length; id++) if (logits[id]! > logits[best]!) best = id;
  return best;
}

/** The leading weights that reach the share `topP` of their sum; at least one. */
function nucleus(weights: readonly number[], topP: number): readonly number[] {
  if (topP === 1) return weights;
  const limit = topP * weights.reduce((sum, w) => sum + w, 0);
  let sum = 0;
  const end = weights.findIndex((w) => (sum += w) >= limit);
  return end < 0 ? weights : weights.slice(0, end + 1);
}

function draw(ids: readonly number[], weights: readonly number[], random: Random): number {
  let left = random.uniform() * weights.reduce((sum, w) => sum + w, 0);
  const at = weights.findIndex((w) => (left -= w) < 0);
  return ids[at < 0 ? weights.length - 1 : at]!;
}

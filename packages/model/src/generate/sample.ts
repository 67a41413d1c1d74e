import type { Random } from "../random.ts";
import { GenerationError } from "./errors.ts";
import { weigh } from "./weights.ts";

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
  const { of: weights, total } = weigh(logits, logits[bestOf(logits)]!, temperature);
  const V = logits.length;
  if (topK > 0 && topK < V) {
    const best = take(rankedIds(logits, everyId(V)), topK);
    return drawListed(leading(best, weights, topP, sumOf(weights, best)), weights, random);
  }
  if (topP === 1) return draw(weights, total, random);
  return drawListed(leading(rankedIds(logits, likelyIds(weights, topP, total)), weights, topP, total), weights, random);
}

function penalise(logits: Float32Array, seen: ReadonlySet<number>, penalty: number): void {
  for (const id of seen) logits[id] = logits[id]! > 0 ? logits[id]! / penalty : logits[id]! * penalty;
}

function bestOf(logits: Float32Array): number {
  let best = 0;
  let most = logits[0]!;
  for (let id = 1; id < logits.length; id++) {
    if (logits[id]! > most) {
      best = id;
      most = logits[id]!;
    }
  }
  return best;
}

function everyId(count: number): Int32Array {
  const ids = new Int32Array(count);
  for (let id = 0; id < count; id++) ids[id] = id;
  return ids;
}

function sumOf(weights: Float64Array, ids: ArrayLike<number>): number {
  let sum = 0;
  for (let i = 0; i < ids.length; i++) sum += weights[ids[i]!]!;
  return sum;
}

/** Ids but for those so unlikely that all of them together are less than what top-p leaves out. */
function likelyIds(weights: Float64Array, topP: number, total: number): Int32Array {
  const least = ((1 - topP) * total) / weights.length;
  return everyId(weights.length).filter((id) => weights[id]! >= least);
}

/** The first ids whose weights reach the share of the total; at least one. */
function leading(ids: Iterable<number>, weights: Float64Array, share: number, total: number): number[] {
  const limit = share === 1 ? Infinity : share * total;
  const first: number[] = [];
  let sum = 0;
  for (const id of ids) {
    first.push(id);
    sum += weights[id]!;
    if (sum >= limit) break;
  }
  return first;
}

/** An index, in proportion to the weights. */
function draw(weights: Float64Array, total: number, random: Random): number {
  let left = random.uniform() * total;
  let at = 0;
  while (at < weights.length - 1 && (left -= weights[at]!) >= 0) at++;
  return at;
}

/** One of some ids, in proportion to their weights. */
function drawListed(ids: readonly number[], weights: Float64Array, random: Random): number {
  return ids[draw(Float64Array.from(ids, (id) => weights[id]!), sumOf(weights, ids), random)]!;
}

function take(ids: Iterator<number>, count: number): number[] {
  return Array.from({ length: count }, () => ids.next().value as number);
}

/** Ids from the best score down, equal scores by id: from a heap, since few of many are asked for. */
function* rankedIds(logits: Float32Array, heap: Int32Array): Generator<number, void, undefined> {
  for (let at = (heap.length >> 1) - 1; at >= 0; at--) sink(logits, heap, heap.length, at);
  for (let size = heap.length; size > 0; size--) {
    yield heap[0]!;
    heap[0] = heap[size - 1]!;
    sink(logits, heap, size - 1, 0);
  }
}

function sink(logits: Float32Array, heap: Int32Array, size: number, from: number): void {
  const id = heap[from]!;
  let at = from;
  for (let child = 2 * at + 1; child < size; child = 2 * at + 1) {
    if (child + 1 < size && isBefore(logits, heap[child + 1]!, heap[child]!)) child++;
    if (!isBefore(logits, heap[child]!, id)) break;
    heap[at] = heap[child]!;
    at = child;
  }
  heap[at] = id;
}

function isBefore(logits: Float32Array, a: number, b: number): boolean {
  const x = logits[a]!;
  const y = logits[b]!;
  return x > y || (x === y && a < b);
}

import { expOfNegative } from "./exp.ts";

/** Weights of tokens: their probabilities but for a common factor; that of the best token is 1. */
export interface Weights {
  /** By id, until `weigh` is called again. */
  readonly of: Float64Array;
  /** Their sum in the order of ids. */
  readonly total: number;
}

/** Different scores in bf16. */
const scores = 1 << 16;
// Weights of scores of a bf16 model, of which a vocabulary has a few thousand different ones, and for which call they are.
const known = new Float64Array(scores);
const knownFor = new Float64Array(scores);
let call = 0;
let memory = new Float64Array(0);

/** Weighs every token by its score.
 *  @param top the highest score  @param temperature above 0 */
export function weigh(logits: Float32Array, top: number, temperature: number): Weights {
  const count = logits.length;
  if (memory.length < count) memory = new Float64Array(count);
  const weights = memory.subarray(0, count);
  const bits = new Uint32Array(logits.buffer, logits.byteOffset, count);
  call++;
  let total = 0;
  for (let id = 0; id < count; id++) {
    const score = bits[id]! >>> 16;
    let weight: number;
    if ((bits[id]! & 0xffff) !== 0) weight = expOfNegative((logits[id]! - top) / temperature);
    else if (knownFor[score] === call) weight = known[score]!;
    else {
      weight = known[score] = expOfNegative((logits[id]! - top) / temperature);
      knownFor[score] = call;
    }
    weights[id] = weight;
    total += weight;
  }
  return { of: weights, total };
}

import { DataError } from "../data-error.ts";
import { keyOf } from "../keyed-hash.ts";
import { permute } from "./permutation.ts";

/** Where a sample comes from. */
export interface MixedSample {
  readonly source: number;
  /** Its number among the samples of that source. */
  readonly index: number;
}

const blockSamples = 4096;

/** Says from which source each sample comes, as a pure function of seed and sample number: every block of 4,096 samples
 *  holds each source in proportion to its weight, to the nearest sample and at least once, in a shuffled order; and the
 *  samples of a source are numbered without a gap, block after block.
 *  @param weights `[sources]`, above 0, of any sum
 *  @throws DataError `bad-option` */
export function mixture(weights: readonly number[], seed: number, stage: number = 0): (sample: number) => MixedSample {
  if (weights.length === 0 || weights.length > 1024) {
    throw new DataError("bad-option", `a mixture has 1 to 1024 sources, got ${weights.length}`);
  }
  if (!weights.every((weight) => weight > 0 && weight <= 1e300)) {
    const got = weights.join(", ");
    throw new DataError("bad-option", `a mixture's weights are numbers above 0 and at most 1e300, got ${got}`);
  }
  if (weights.length === 1) return (sample) => ({ source: 0, index: sample });
  const quotas = apportion(weights, blockSamples);
  const first = quotas.map((_, source) => quotas.slice(0, source).reduce((sum, quota) => sum + quota, 0));
  const keys = latest((block) => keyOf("mixture", seed, stage, block));
  return (sample) => {
    const block = Math.floor(sample / blockSamples);
    const slot = permute(sample % blockSamples, blockSamples, keys(block));
    const source = first.findLastIndex((start) => start <= slot);
    return { source, index: block * (quotas[source] ?? 0) + slot - (first[source] ?? 0) };
  };
}

/** Keeps the last result of a pure function, for callers that mostly ask the same again. */
export function latest<R>(f: (n: number) => R): (n: number) => R {
  let kept: { n: number; result: R } | null = null;
  return (n) => (kept?.n === n ? kept : (kept = { n, result: f(n) })).result;
}

/** Whole shares of a total in proportion to weights, each at least 1, by largest remainder (Hamilton). */
function apportion(weights: readonly number[], total: number): number[] {
  const sum = weights.reduce((a, b) => a + b, 0);
  const spare = total - weights.length;
  const exact = weights.map((weight) => Math.max(0, (weight / sum) * total - 1));
  const scale = spare / exact.reduce((a, b) => a + b, 0);
  const shares = exact.map((share) => Math.floor(share * scale));
  const byRemainder = exact
    .map((share, source) => ({ source, remainder: share * scale - (shares[source] ?? 0) }))
    .sort((a, b) => b.remainder - a.remainder || a.source - b.source);
  const left = spare - shares.reduce((a, b) => a + b, 0);
  for (const { source } of byRemainder.slice(0, left)) shares[source] = (shares[source] ?? 0) + 1;
  return shares.map((share) => share + 1);
}

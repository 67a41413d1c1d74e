import {
  DTypeError,
  embeddingGradOp,
  formatShape,
  full,
  less,
  maximum,
  mul,
  reshape,
  run,
  sameShape,
  scope,
  ShapeError,
  slice,
  where,
  type Tensor,
} from "@danu/tensor";

import { PreferenceError } from "./preference-error.ts";

function checkTokens(name: string, segments: Tensor, sequences: number, values?: Tensor): void {
  if (segments.dtype !== "i32") throw new DTypeError(`${name}: expected i32 segments, got ${segments.dtype}`);
  if (!Number.isSafeInteger(sequences) || sequences < 0) {
    throw new PreferenceError(`${name}: expected a whole number of sequences, got ${sequences}`, { sequences });
  }
  if (values === undefined) return;
  if (values.dtype !== "f32")
    throw new DTypeError(`${name}: expected one f32 number a token, got ${values.dtype}; use cast()`);
  if (!sameShape(values.shape, segments.shape)) {
    throw new ShapeError(
      `${name}: expected a segment for every token ${formatShape(values.shape)}, got ${formatShape(segments.shape)}`,
    );
  }
}

/** Sum of the values of each segment: the rows of an embedding's gradient, summed in the order of the tokens. */
function sumBySegment(values: Tensor, segments: Tensor, sequences: number): Tensor {
  const none = less(segments, full(segments.device, [], 0, "i32"));
  const kept = where(none, full(values.device, [], 0), values);
  // Tokens of no sequence add their 0 to the first one.
  const ids = reshape(maximum(segments, full(segments.device, [], 0, "i32")), [segments.size]);
  return reshape(run(embeddingGradOp, [reshape(kept, [segments.size, 1]), ids], { V: sequences })[0], [sequences]);
}

/** Log-probability of every sequence from those of its tokens: their sum, in the order of the tokens.
 *
 *  Chosen and rejected answers may lie anywhere in packed rows; with the rejected answer of pair i as segment `B + i`,
 *  `splitPairs` gives what the losses take.
 *  @param tokens `log p(token)` f32 `[T]` or `[B, T]`
 *  @param segments i32, shape of tokens: the sequence of each token, −1 for prompts and padding
 *  @param sequences how many there are  @param options.weights factor of every token, f32, shape of tokens
 *  @returns f32 `[sequences]`, 0 for a sequence without tokens
 *  @throws DeviceError at the next read when a segment is `sequences` or larger */
export function sequenceLogProbabilities(
  tokens: Tensor,
  segments: Tensor,
  sequences: number,
  { weights }: { readonly weights?: Tensor } = {},
): Tensor {
  checkTokens("sequenceLogProbabilities", segments, sequences, tokens);
  if (weights !== undefined) checkTokens("sequenceLogProbabilities", segments, sequences, weights);
  return scope(() => sumBySegment(weights === undefined ? tokens : mul(tokens, weights), segments, sequences));
}

/** Number of tokens of every sequence. @param segments as for `sequenceLogProbabilities` @returns f32 `[sequences]` */
export function sequenceLengths(segments: Tensor, sequences: number): Tensor {
  checkTokens("sequenceLengths", segments, sequences);
  return scope(() => sumBySegment(full(segments.device, segments.shape, 1), segments, sequences));
}

/** The two halves of `[2B]` numbers, the chosen sequences before the rejected ones.
 *  @throws ShapeError when they are no pairs */
export function splitPairs(sequences: Tensor): { readonly chosen: Tensor; readonly rejected: Tensor } {
  const B = sequences.size / 2;
  if (sequences.shape.length !== 1 || !Number.isInteger(B)) {
    throw new ShapeError(
      `splitPairs: expected [2B] sequences, chosen before rejected, got ${formatShape(sequences.shape)}`,
    );
  }
  return { chosen: slice(sequences, 0, 0, B), rejected: slice(sequences, 0, B, 2 * B) };
}

/** Token weights of LD-DPO: 1 for the first `min(n_c, n_r)` tokens of both completions of a pair, `alpha` for the
 *  rest of the longer one. Liu et al. 2024, "Length Desensitization in DPO".
 *  @param segments the sequence of each token, in order: i and `pairs + i` are a pair; −1 for prompts and padding
 *  @param alpha from 0 to 1  @returns weights for `sequenceLogProbabilities`, one a token
 *  @throws PreferenceError on another alpha, or a segment that no pair has */
export function lengthDesensitizedWeights(segments: ArrayLike<number>, pairs: number, alpha: number): Float32Array {
  if (!(alpha >= 0 && alpha <= 1)) {
    throw new PreferenceError(`lengthDesensitizedWeights: expected alpha from 0 to 1, got ${alpha}`, { alpha });
  }
  const lengths = new Array<number>(2 * pairs).fill(0);
  for (const segment of Array.from(segments)) {
    if (segment === -1) continue;
    if (!Number.isInteger(segment) || segment < 0 || segment >= 2 * pairs) {
      throw new PreferenceError(
        `lengthDesensitizedWeights: expected segments from -1 to ${2 * pairs - 1}, got ${segment}`,
        { segment },
      );
    }
    lengths[segment]!++;
  }
  const seen = new Array<number>(2 * pairs).fill(0);
  return Float32Array.from(segments, (segment) => {
    if (segment < 0) return 0;
    const pair = segment % pairs;
    const shared = Math.min(lengths[pair]!, lengths[pair + pairs]!);
    return ++seen[segment]! <= shared ? 1 : alpha;
  });
}

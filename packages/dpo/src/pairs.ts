import { cast, div, DTypeError, formatShape, maximum, ShapeError, sub, type Tensor } from "@danu/tensor";

import { divergences } from "./divergence.ts";
import type { LossParameters } from "./parameters.ts";
import { PreferenceError } from "./preference-error.ts";

/** Log-probabilities of a batch of pairs: of each completion given its prompt, summed over its tokens, in nats. */
export interface PreferencePairs {
  /** `log π(chosen)` f32 `[B]`. */
  readonly chosen: Tensor;
  /** `log π(rejected)` f32 `[B]`. */
  readonly rejected: Tensor;
  /** `log π_ref(chosen)` f32 `[B]`. */
  readonly referenceChosen?: Tensor;
  /** `log π_ref(rejected)` f32 `[B]`. */
  readonly referenceRejected?: Tensor;
  /** Tokens of each chosen completion, f32 or i32 `[B]`. */
  readonly chosenLengths?: Tensor;
  /** Tokens of each rejected completion, f32 or i32 `[B]`. */
  readonly rejectedLengths?: Tensor;
  /** Mean cross-entropy of the chosen sequences, f32 `[]`, where it is not that of the completions in `chosen`:
   *  TRL's ORPO counts the prompt in, and weights per token (LD-DPO) must not reach it. */
  readonly supervisedLoss?: Tensor;
  /** Estimate of the KL divergence from the reference for KTO, f32 `[]`; see `klEstimate`. */
  readonly klEstimate?: Tensor;
  /** Factor of every pair's loss, f32 `[B]`, constant to the gradient: the weights of WPO (Zhou et al. 2024). */
  readonly weights?: Tensor;
}

/** Two numbers a pair. */
export interface ChosenRejected {
  readonly chosen: Tensor;
  readonly rejected: Tensor;
}

const perPair = [
  "chosen",
  "rejected",
  "referenceChosen",
  "referenceRejected",
  "chosenLengths",
  "rejectedLengths",
  "weights",
] as const;

/** @throws ShapeError unless everything is `[B]`, and single numbers where one is asked for
 *  @throws DTypeError unless everything is f32, lengths i32 at most */
export function checkPairs(name: string, pairs: PreferencePairs): void {
  const B = pairs.chosen.size;
  for (const key of perPair) {
    const tensor = pairs[key];
    if (tensor === undefined) continue;
    if (tensor.shape.length !== 1 || tensor.size !== B) {
      throw new ShapeError(
        `${name}: expected ${key} [${B}], as many numbers as pairs, got ${formatShape(tensor.shape)}`,
      );
    }
    const counts = key.endsWith("Lengths") && tensor.dtype === "i32";
    if (tensor.dtype !== "f32" && !counts)
      throw new DTypeError(`${name}: expected ${key} in f32, got ${tensor.dtype}; use cast()`);
  }
  for (const key of ["supervisedLoss", "klEstimate"] as const) {
    const tensor = pairs[key];
    if (tensor === undefined) continue;
    if (tensor.shape.length > 0)
      throw new ShapeError(`${name}: expected ${key} [], one number, got ${formatShape(tensor.shape)}`);
    if (tensor.dtype !== "f32")
      throw new DTypeError(`${name}: expected ${key} in f32, got ${tensor.dtype}; use cast()`);
  }
}

/** An input that a loss cannot do without. @throws PreferenceError when it is absent */
export function required<K extends keyof PreferencePairs>(
  name: string,
  pairs: PreferencePairs,
  key: K,
  hint: string,
): NonNullable<PreferencePairs[K]> {
  const value = pairs[key];
  if (value === undefined)
    throw new PreferenceError(`${name}: needs ${key}, got none; ${hint}`, { loss: name, missing: key });
  return value;
}

/** Tokens of both completions, at least 1 each, f32 `[B]`. @throws PreferenceError when they are absent */
export function lengthsOf(name: string, pairs: PreferencePairs): ChosenRejected {
  const atLeastOne = (key: "chosenLengths" | "rejectedLengths"): Tensor =>
    maximum(cast(required(name, pairs, key, "give the number of tokens of every completion"), "f32"), 1);
  return { chosen: atLeastOne("chosenLengths"), rejected: atLeastOne("rejectedLengths") };
}

/** `log π − log π_ref` of both completions, f32 `[B]`; `log π` alone when free of the reference.
 *  @throws PreferenceError when the reference is absent */
export function logRatios(
  name: string,
  pairs: PreferencePairs,
  { referenceFree }: Pick<LossParameters, "referenceFree">,
): ChosenRejected {
  if (referenceFree) return pairs;
  const hint = "give the reference's log-probabilities, or set referenceFree";
  return {
    chosen: sub(pairs.chosen, required(name, pairs, "referenceChosen", hint)),
    rejected: sub(pairs.rejected, required(name, pairs, "referenceRejected", hint)),
  };
}

/** The log-ratios as the divergence sees them: `f′(π / π_ref)`. Wang et al. 2023, "Beyond Reverse KL". */
export function scores(
  name: string,
  pairs: PreferencePairs,
  parameters: Pick<LossParameters, "referenceFree" | "divergence" | "divergenceAlpha">,
): ChosenRejected {
  const ratios = logRatios(name, pairs, parameters);
  const score = divergences[parameters.divergence];
  return {
    chosen: score(ratios.chosen, parameters.divergenceAlpha),
    rejected: score(ratios.rejected, parameters.divergenceAlpha),
  };
}

/** Chosen less rejected, f32 `[B]`. */
export function difference({ chosen, rejected }: ChosenRejected): Tensor {
  return sub(chosen, rejected);
}

/** Both divided by the tokens of their completion. */
export function perTokenOf({ chosen, rejected }: ChosenRejected, lengths: ChosenRejected): ChosenRejected {
  return { chosen: div(chosen, lengths.chosen), rejected: div(rejected, lengths.rejected) };
}

/** The same pairs with every log-probability divided by the tokens of its completion: the mean over tokens that
 *  SimPO and ORPO use, and H2O LLM Studio for its hinge and IPO losses too.
 *  @throws PreferenceError when the lengths are absent */
export function perToken(pairs: PreferencePairs): PreferencePairs {
  checkPairs("perToken", pairs);
  const lengths = lengthsOf("perToken", pairs);
  const { referenceChosen, referenceRejected } = pairs;
  return {
    ...pairs,
    ...perTokenOf(pairs, lengths),
    ...(referenceChosen && { referenceChosen: div(referenceChosen, lengths.chosen) }),
    ...(referenceRejected && { referenceRejected: div(referenceRejected, lengths.rejected) }),
  };
}

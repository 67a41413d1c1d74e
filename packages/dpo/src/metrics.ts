import { cast, less, mean, mul, scope, stopGradient, type Tensor } from "@danu/tensor";

import { checkPairs, difference, logRatios, type PreferencePairs } from "./pairs.ts";

/** Means over a batch of pairs, f32 `[]` each, constant to every gradient. */
export interface PreferenceMetrics {
  /** Reward of the chosen answers: `β (log π − log π_ref)`. */
  readonly chosenReward: Tensor;
  /** Reward of the rejected answers. */
  readonly rejectedReward: Tensor;
  /** Chosen reward less rejected reward. */
  readonly margin: Tensor;
  /** Share of pairs whose chosen reward is larger; equal ones do not count. */
  readonly accuracy: Tensor;
  /** Share of pairs whose chosen answer is the likelier one: what the policy prefers by itself, also before training.
   *  Chen et al. 2024, "Preference Learning Algorithms Do Not Learn Preference Rankings". */
  readonly rankingAccuracy: Tensor;
  /** `log π` of the chosen answers. */
  readonly chosenLogProbability: Tensor;
  /** `log π` of the rejected answers. */
  readonly rejectedLogProbability: Tensor;
}

/** Of what rewards are made. */
export interface RewardOptions {
  readonly beta: number;
  /** True where the reference does not count; left out: where the pairs have none. */
  readonly referenceFree?: boolean;
}

/** What to watch in preference training, as TRL defines it: whatever the loss and the divergence, rewards are
 *  `β (log π − log π_ref)`, or `β log π` without a reference.
 *  @param pairs those of `perToken` for losses of mean log-probabilities
 *  @throws PreferenceError when a reference is missing, ShapeError or DTypeError on wrong inputs */
export function preferenceMetrics(pairs: PreferencePairs, options: RewardOptions): PreferenceMetrics {
  const none = pairs.referenceChosen === undefined && pairs.referenceRejected === undefined;
  const { beta, referenceFree = none } = options;
  checkPairs("preferenceMetrics", pairs);
  return scope(() => {
    const ratios = logRatios("preferenceMetrics", pairs, { referenceFree });
    const rewards = {
      chosen: mul(stopGradient(ratios.chosen), beta),
      rejected: mul(stopGradient(ratios.rejected), beta),
    };
    return {
      chosenReward: mean(rewards.chosen),
      rejectedReward: mean(rewards.rejected),
      margin: mean(difference(rewards)),
      accuracy: mean(cast(less(rewards.rejected, rewards.chosen), "f32")),
      rankingAccuracy: mean(cast(less(stopGradient(pairs.rejected), stopGradient(pairs.chosen)), "f32")),
      chosenLogProbability: mean(stopGradient(pairs.chosen)),
      rejectedLogProbability: mean(stopGradient(pairs.rejected)),
    };
  });
}

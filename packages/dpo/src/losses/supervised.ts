import { broadcastTo, div, neg, sum, type Tensor } from "@danu/tensor";

import { defineLoss, type PreferenceLoss } from "../define-loss.ts";
import { lengthsOf, type PreferencePairs } from "../pairs.ts";

/** Mean cross-entropy of the chosen completions' tokens, the same for every pair of the batch: the `supervisedLoss` of
 *  the pairs where there is one, else `−Σ log π(chosen) / Σ n_c`.
 *  @returns f32 `[B]` */
export function supervised(name: string, pairs: PreferencePairs): Tensor {
  const mean = pairs.supervisedLoss ?? neg(div(sum(pairs.chosen), sum(lengthsOf(name, pairs).chosen)));
  return broadcastTo(mean, pairs.chosen.shape);
}

/** Supervised fine-tuning on the chosen answers, as a term beside others: `−Σ log π_c / Σ n_c` over the batch.
 *  Pang et al. 2024 (RPO) and others. */
export const sftLoss: PreferenceLoss = defineLoss({
  name: "sft",
  summary: "Supervised fine-tuning on the chosen answers: a term to add to others.",
  formula: "−Σ log π_c / Σ n_c",
  source: "Pang et al. 2024",
  needs: { lengths: true },
  parameters: {},
  losses: (pairs, _, name) => supervised(name, pairs),
});
